import assert from 'node:assert/strict';
import { type Accepted, parseWords, takeCommand } from '../../../src/cli/parse-words.js';

const CHECK: Accepted = {
  name: 'check',
  options: ['json', 'verbose', 'mode', 'timeout', 'columns'],
  operands: 1,
};

describe('parseWords', () => {
  for (const [words, options, operands] of [
    [['/a'], {}, ['/a']],
    [['--json', '/a', '-v'], { json: 'yes', verbose: 'yes' }, ['/a']],
    [['--mode', 'r', '--mode=w'], { mode: 'w' }, []],
    [['--timeout', '-1'], { timeout: '-1' }, []],
    [['--timeout='], { timeout: '' }, []],
    [['--', '--json'], {}, ['--json']],
    [['-'], {}, ['-']],
  ] as const) {
    it(`reads ${words.join(' ')}`, () => {
      assert.deepEqual(parseWords(words, CHECK), { options, operands });
    });
  }

  for (const [words, says] of [
    [['--jsno'], 'check has no option --jsno: did you mean --json?'],
    [['--dry-run'], 'check has no option --dry-run'],
    [['--frobnicate=3'], 'check has no option --frobnicate'],
    [['-x'], 'check has no option -x'],
    [['--timeout'], '--timeout needs a value: --timeout SECONDS'],
    [['--timeout', '--json'], '--timeout needs a value: --timeout SECONDS'],
    [['-o'], '--columns needs a value: --columns COLUMNS'],
    [['-o', '--timeout'], '--timeout needs a value: --timeout SECONDS'],
    [['--json=yes'], '--json takes no value: "yes" is one too many'],
    [['--mode', 'rw'], 'mode "rw": r or w is needed'],
    [['a', 'b'], 'check takes one argument: "b" is one too many'],
    [['--__proto__'], 'check has no option --__proto__'],
  ] as const) {
    it(`refuses ${words.join(' ')}`, () => {
      assert.throws(() => parseWords(words, CHECK), { code: 'EUSAGE', message: says });
    });
  }
});

describe('takeCommand', () => {
  for (const [words, command, rest] of [
    [['add', '7/1', '--json'], 'add', ['7/1', '--json']],
    [['--json', 'list'], 'list', ['--json']],
    [['--timeout', '5', 'add'], 'add', ['--timeout', '5']],
    [['--timeout=5', 'add'], 'add', ['--timeout=5']],
    [['--help'], undefined, ['--help']],
    [[], undefined, []],
  ] as const) {
    it(`finds ${command} in "${words.join(' ')}"`, () => {
      assert.deepEqual(takeCommand(words), { command, rest });
    });
  }
});
