import assert from 'node:assert/strict';
import { LONGEST_FILE, parseConfig } from '../../../src/cli/config-file.js';

const FILE = '/etc/xen/xen-blkback.conf';

const readValue = (line: string): string | undefined => {
  const { lines, errors } = parseConfig(FILE, line);
  assert.deepEqual(errors, []);
  return lines[0]?.value;
};

describe('parseConfig', () => {
  it('reads keys and values with the numbers of their lines', () => {
    const { lines, errors } = parseConfig(FILE, '# a comment\n\ntimeout=20\n  log = /l  \n');
    assert.deepEqual(errors, []);
    assert.deepEqual(lines, [
      { key: 'timeout', value: '20', line: 3 },
      { key: 'log', value: '/l', line: 4 },
    ]);
  });

  for (const [line, value] of [
    ['log=/a', '/a'],
    ['log="/a b"', '/a b'],
    ["log='/a \"b'", '/a "b'],
    ['log=/a # why', '/a'],
    ['log=/a#b', '/a#b'],
    ['log="/a # b" # why', '/a # b'],
    ['log=/a=b', '/a=b'],
    ['\tlog\t=\t/a\t\r', '/a'],
    ['#log=/a', undefined],
    ['  # log=/a', undefined],
  ] as const) {
    it(`reads ${JSON.stringify(line)} as ${value}`, () => assert.equal(readValue(line), value));
  }

  for (const [line, says] of [
    ['timeout', 'KEY=VALUE is expected, not "timeout"'],
    ['=20', 'KEY=VALUE is expected, not "=20"'],
    ['time out=20', 'KEY=VALUE is expected, not "time out=20"'],
    ['timeout=', 'timeout has no value: write it, or remove the line'],
    ['timeout=""', 'timeout has no value: write it, or remove the line'],
    ['timeout= # 20', 'timeout has no value: write it, or remove the line'],
    ['log="/a', 'the value of log begins with " and does not end with it'],
    ['log="/a"b', 'after the value of log, which ends with ", the line is expected to end'],
    ['log=/a\0', 'the line contains a NUL byte'],
  ] as const) {
    it(`refuses ${JSON.stringify(line)} with file and line`, () => {
      const { lines, errors } = parseConfig(FILE, `\n${line}\n`);
      assert.deepEqual(lines, []);
      assert.deepEqual(
        errors.map(({ message }) => message),
        [`${FILE} line 2: ${says}`],
      );
    });
  }

  it('goes on behind a line that is wrong, and tells of all that are', () => {
    const { lines, errors } = parseConfig(FILE, 'x\ntimeout=20\ny\n');
    assert.deepEqual([lines.length, errors.length], [1, 2]);
  });

  it('refuses what is too long to be a configuration file', () => {
    const { errors } = parseConfig(FILE, '#'.repeat(LONGEST_FILE + 1));
    assert.match(errors[0]?.message ?? '', /at most 65536 bytes are expected/);
  });
});
