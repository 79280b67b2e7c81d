import assert from 'node:assert/strict';
import { parseTarget } from '../../../src/target/target.js';
import { TargetError } from '../../../src/target/target-error.js';
import { quote } from '../../../src/util/one-line.js';

function refusal(params: string | Buffer): string {
  try {
    parseTarget(Buffer.from(params));
  } catch (error) {
    assert.ok(error instanceof TargetError, `not a TargetError: ${String(error)}`);
    assert.equal(error.code, 'ETARGET');
    return error.message;
  }
  return assert.fail(`${String(params)} was accepted`);
}

describe('parseTarget refuses', () => {
  /** Each row has a target, and then the texts that the message must contain. */
  const cases: readonly (readonly [string, ...string[]])[] = [
    ['', 'empty'],
    ['phy:loop55', 'phy:loop55', 'leave phy: out'],
    ['file:/srv/a.img', 'file:/srv/a.img', 'leave file: out'],
    ['tap:aio:/srv/a.img', 'tap:aio:/srv/a.img', 'leave tap: out'],
    ['qcow2:/srv/a.img', 'leave qcow2: out'],
    ['../etc/shadow', '../etc/shadow', 'below /dev'],
    ['vg/./root', 'vg/./root', 'below /dev'],
    ['diskseq', 'diskseq'],
    ['path=/a,symlinks=maybe', 'symlinks', 'maybe', 'yes', 'no'],
    ['path=/a,symlinks=no,symlinks=no', 'symlinks', 'twice'],
    ['path=/a,symlinks=', 'symlinks', 'no value'],
    ['dm-name=a,symlinks=no', 'symlinks', 'path'],
    ['diskseq=5,symlinks=no', 'symlinks', 'path'],
    ['=x', '=x'],
    ['path', 'path'],
    ['path=', 'path', 'no value'],
    ['path=/a,', 'key=value'],
    [',path=/a', 'key=value'],
    ['path=/a,,size=512', 'key=value'],
    ['path=/a,/b', '/b'],
    ['path=phy:loop55', 'path', 'phy:loop55', 'absolute'],
    ['path=a/b', 'path', 'a/b', 'absolute'],
    ['path=/a,path=/b', 'path', 'twice'],
    ['path=/a,colour=red', 'colour'],
    ['Path=/a', 'Path'],
    [' path=/a', ' path'],
    ['path=/a,__proto__=x', '__proto__'],
    ['size=512', 'path', 'dm-name', 'dm-uuid', 'diskseq'],
    ['partition=1', 'diskseq'],
    ['path=/a,dm-name=b', 'path', 'dm-name'],
    ['dm-uuid=a,dm-name=b', 'dm-uuid', 'dm-name'],
    ['path=/a,partition=1', 'partition', 'path'],
    ['dm-name=.', 'dm-name', '"."'],
    ['dm-name=..', 'dm-name', '".."'],
    ['dm-name=control', 'dm-name', 'control'],
    ['dm-name=a/b', 'dm-name', 'a/b'],
    ['dm-name=a\u0007b', 'dm-name', 'control characters'],
    ['dm-uuid=a\tb', 'dm-uuid', 'control characters'],
    ['dm-uuid=../x', 'dm-uuid', '../x'],
    [`dm-name=${'n'.repeat(128)}`, 'dm-name', '127'],
    [`dm-uuid=${'u'.repeat(129)}`, 'dm-uuid', '128'],
    [`dm-name=${'ü'.repeat(64)}`, 'dm-name', '127'],
    ['diskseq=0', 'diskseq', '"0"'],
    ['diskseq=0x0', 'diskseq', '0x0'],
    ['diskseq=0x', 'diskseq', '0x'],
    ['diskseq=012', 'diskseq', '012'],
    ['diskseq=-1', 'diskseq', '-1'],
    ['diskseq=1e3', 'diskseq', '1e3'],
    ['diskseq=ff', 'diskseq', 'ff'],
    ['diskseq=0X1f', 'diskseq', '0X1f'],
    ['diskseq= 1', 'diskseq', ' 1'],
    ['diskseq=18446744073709551616', 'diskseq', '18446744073709551616'],
    ['diskseq=0x10000000000000000', 'diskseq', '0x10000000000000000'],
    ['path=/a,diskseq=0', 'diskseq', '"0"'],
    ['/dev/disk/by-diskseq/18446744073709551616', '18446744073709551616'],
    ['diskseq=1,partition=0', 'partition', '"0"'],
    ['diskseq=1,partition=65536', 'partition', '65536'],
    ['diskseq=1,partition=p1', 'partition', 'p1'],
    ['path=/a,offset=511', 'offset', '511'],
    ['path=/a,offset=-512', 'offset', '-512'],
    ['path=/a,offset=1k', 'offset', '1k'],
    ['path=/a,offset=0512', 'offset', '0512'],
    ['path=/a,offset=9223372036854775808', 'offset', '9223372036854775808'],
    ['path=/a,size=0', 'size', '0'],
    ['path=/a,size=1000', 'size', '1000'],
    ['path=/a,size=512,block-size=4096', 'size', '512', '4096'],
    ['path=/a,offset=512,size=9223372036854775296', 'offset', 'size', 'too large'],
    ['path=/a,block-size=0', 'block-size', '"0"'],
    ['path=/a,block-size=256', 'block-size', '256'],
    ['path=/a,block-size=8192', 'block-size', '8192'],
    ['path=/a,block-size=3000', 'block-size', '3000'],
    ['path=/a,direct-io=on', 'direct-io', 'on', 'auto'],
    ['path=/a,autoclear=YES', 'autoclear', 'YES'],
    ['path=/a,sharing=no', 'sharing', '"no"'],
    ['path=/a,deferred-remove=maybe', 'deferred-remove', 'maybe'],
    ['path=/a,layer=raid', 'layer', 'raid'],
    [`path=/a,verity-root=${'ab'.repeat(15)}`, 'verity-root', 'ab'.repeat(15)],
    [`path=/a,verity-root=${'ab'.repeat(16)}c`, 'verity-root', `${'ab'.repeat(16)}c`],
    [`path=/a,verity-root=${'xy'.repeat(16)}`, 'verity-root', 'xy'.repeat(16)],
    [`path=/a,verity-root=${'ab'.repeat(65)}`, 'verity-root', 'ab'.repeat(30)],
    ['/nul\0inside', 'NUL'],
    ['path=/a\0,size=512', 'NUL'],
    [`/${'x'.repeat(4095)}`, 'path', '4095'],
    [`path=/${'ü'.repeat(2048)}`, 'path', '4095'],
  ];
  for (const [text, ...words] of cases) {
    const shown = text.length > 60 ? `${text.slice(0, 60)}… (${text.length})` : text;
    it(`${JSON.stringify(shown)}, naming ${words.at(0)}`, () => {
      const message = refusal(text);
      for (const word of words) assert.ok(message.includes(word), `${word} is not in: ${message}`);
    });
  }

  it('bytes that are not UTF-8 where a name or a word is asked for', () => {
    for (const key of ['dm-name', 'dm-uuid', 'path=/a,layer', 'colour']) {
      const bytes = Buffer.concat([Buffer.from(`${key}=`), Buffer.from([0xe9])]);
      const message = refusal(bytes);
      assert.match(message, new RegExp(key.replace('path=/a,', '')));
      assert.equal(Buffer.from(message).toString(), message);
    }
  });

  it('a path of 4096 bytes, but not one of 4095', () => {
    assert.match(refusal(`path=/${'x'.repeat(4095)}`), /4095 bytes/);
    assert.equal(parseTarget(Buffer.from(`/${'x'.repeat(4094)}`)).locator.by, 'path');
  });
});

describe('The message of a refused target', () => {
  const hostile = '\u001b[2J\r\n\t\u0007\u007f\u0085\u009b31m\u2028\u2029';
  for (const [where, text] of [
    ['a key', `${hostile}=x`],
    ['a key without a value', `${hostile}=`],
    ['an item', `path=/a,${hostile}`],
    ['a duplicate key', `${hostile}=1,${hostile}=2`],
    ['a path', `path=${hostile}`],
    ['a mapper name', `dm-name=/${hostile}`],
    ['a number', `path=/a,offset=${hostile}`],
    ['a diskseq', `diskseq=${hostile}`],
    ['a choice', `path=/a,layer=${hostile}`],
    ['a digest', `path=/a,verity-root=${hostile}`],
  ] as const) {
    it(`is one printable line with control characters in ${where}`, () => {
      assert.match(refusal(text), /^[^\p{Cc}\u2028\u2029]+$/u);
    });
  }

  it('stays short whatever the length of the value', () => {
    for (const text of [
      `${'x'.repeat(4000)}/..`,
      `path=${'x'.repeat(4000)}`,
      `${'k'.repeat(4000)}=v`,
    ]) {
      assert.ok(refusal(text).length < 400);
    }
  });

  it('quotes values so that quotes and backslashes in them are told apart', () => {
    assert.equal(quote('a"b\\c'), '"a\\"b\\\\c"');
    assert.equal(quote('a\nb\u0001'), '"a\\nb\\u0001"');
    assert.equal(quote('x'.repeat(101)), `"${'x'.repeat(100)}…"`);
  });
});
