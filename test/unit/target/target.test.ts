import assert from 'node:assert/strict';
import { type Locator, parseTarget } from '../../../src/target/target.js';
import { encodePath } from '../../../src/util/path-bytes.js';

const parse = (text: string) => parseTarget(Buffer.from(text));

/** The result of parsing a target that has no further key. */
const DEFAULTS = {
  diskseq: undefined,
  offset: 0n,
  size: undefined,
  blockSize: 512,
  directIo: 'no',
  autoclear: true,
  sharing: undefined,
  deferredRemove: false,
  layer: undefined,
  verityRoot: undefined,
};

describe('parseTarget', () => {
  it('takes an absolute path as it stands, commas, equal signs and all', () => {
    for (const path of ['/dev/sda', '/a,b=c', '/x\\,y', '/spaced name ', '/däta/ü', '/a,path=/b']) {
      assert.deepEqual(parse(path), { ...DEFAULTS, locator: { by: 'path', path }, keys: ['path'] });
    }
  });

  const locators: readonly (readonly [string, Locator])[] = [
    ['loop55', { by: 'path', path: '/dev/loop55' }],
    ['vg/root', { by: 'path', path: '/dev/vg/root' }],
    ['vg/a=b,c', { by: 'path', path: '/dev/vg/a=b,c' }],
    ['mapper/a:b', { by: 'path', path: '/dev/mapper/a:b' }],
    ['disk/by-diskseq/9', { by: 'diskseq', diskseq: 9n, partition: undefined }],
    ['path=/a,symlinks=no', { by: 'path', path: '/a', symlinks: false }],
    ['path=/a,symlinks=yes', { by: 'path', path: '/a' }],
    ['path=/dev/vg/lv', { by: 'path', path: '/dev/vg/lv' }],
    ['path=/a\\,b\\,c', { by: 'path', path: '/a,b,c' }],
    ['path=/a\\b', { by: 'path', path: '/a\\b' }],
    ['path=/ends-in\\', { by: 'path', path: '/ends-in\\' }],
    ['path=/a=b', { by: 'path', path: '/a=b' }],
    ['dm-name=vg-root', { by: 'dm-name', name: 'vg-root' }],
    [`dm-name=${'n'.repeat(127)}`, { by: 'dm-name', name: 'n'.repeat(127) }],
    [`dm-uuid=${'u'.repeat(128)}`, { by: 'dm-uuid', uuid: 'u'.repeat(128) }],
    ['dm-uuid=LVM-abc', { by: 'dm-uuid', uuid: 'LVM-abc' }],
    ['diskseq=12', { by: 'diskseq', diskseq: 12n, partition: undefined }],
    ['diskseq=0xfF', { by: 'diskseq', diskseq: 255n, partition: undefined }],
    [
      'diskseq=18446744073709551615',
      { by: 'diskseq', diskseq: (1n << 64n) - 1n, partition: undefined },
    ],
    [
      'diskseq=0xffffffffffffffff',
      { by: 'diskseq', diskseq: (1n << 64n) - 1n, partition: undefined },
    ],
    ['diskseq=12,partition=3', { by: 'diskseq', diskseq: 12n, partition: 3 }],
    ['partition=65535,diskseq=1', { by: 'diskseq', diskseq: 1n, partition: 65535 }],
  ];
  for (const [text, locator] of locators) {
    it(`locates ${text.slice(0, 60)}`, () => assert.deepEqual(parse(text).locator, locator));
  }

  const links: readonly (readonly [string, Locator])[] = [
    ['7', { by: 'diskseq', diskseq: 7n, partition: undefined }],
    ['7-part2', { by: 'diskseq', diskseq: 7n, partition: 2 }],
    ...['0', '07', '7-part0', '7-part', '7-part1x', '0x7', 'x', '7/..'].map(
      (name) => [name, { by: 'path', path: `/dev/disk/by-diskseq/${name}` }] as const,
    ),
  ];
  for (const [name, locator] of links) {
    it(`reads /dev/disk/by-diskseq/${name} as ${locator.by}`, () => {
      assert.deepEqual(parse(`/dev/disk/by-diskseq/${name}`).locator, locator);
      assert.deepEqual(parse(`path=/dev/disk/by-diskseq/${name}`).locator, locator);
    });
  }

  it('takes any bytes for a path', () => {
    const bytes = Buffer.from('/srv/caf\xe9 \n', 'latin1');
    for (const params of [bytes, Buffer.concat([Buffer.from('path='), bytes])]) {
      const { locator } = parseTarget(params);
      assert.ok(locator.by === 'path');
      assert.deepEqual(encodePath(locator.path), bytes);
    }
  });

  it('takes diskseq beside another locator as what the device must have', () => {
    for (const other of ['path=/dev/sda', 'dm-name=x', 'dm-uuid=x']) {
      assert.equal(parse(`${other},diskseq=0x10`).diskseq, 16n, other);
    }
    assert.equal(parse('diskseq=16').diskseq, undefined);
  });

  it('does not drop a diskseq that contradicts a by-diskseq path', () => {
    assert.throws(() => parse('path=/dev/disk/by-diskseq/5,diskseq=7'), { code: 'ETARGET' });
  });

  const options: readonly (readonly [string, object])[] = [
    ['offset=512', { offset: 512n }],
    ['offset=0', { offset: 0n }],
    ['size=512', { size: 512n }],
    ['size=8192,block-size=4096', { size: 8192n, blockSize: 4096 }],
    ['block-size=1024', { blockSize: 1024 }],
    ['block-size=2048', { blockSize: 2048 }],
    ['offset=9223372036854775296', { offset: (1n << 63n) - 512n }],
    ['offset=512,size=9223372036854774784', { offset: 512n, size: (1n << 63n) - 1024n }],
    ['direct-io=yes', { directIo: 'yes' }],
    ['direct-io=auto', { directIo: 'auto' }],
    ['autoclear=no', { autoclear: false }],
    ['autoclear=yes', { autoclear: true }],
    ['sharing=deny', { sharing: 'deny' }],
    ['sharing=read-only', { sharing: 'read-only' }],
    ['sharing=allow', { sharing: 'allow' }],
    ['deferred-remove=yes', { deferredRemove: true }],
    ['layer=linear', { layer: 'linear' }],
    ['layer=crypt', { layer: 'crypt' }],
    [`verity-root=${'Ab'.repeat(16)}`, { verityRoot: 'ab'.repeat(16) }],
    [`verity-root=${'0f'.repeat(64)}`, { verityRoot: '0f'.repeat(64) }],
  ];
  for (const [text, expected] of options) {
    it(`understands ${text.slice(0, 60)}`, () => {
      assert.deepEqual(parse(`path=/f,${text}`), {
        ...DEFAULTS,
        ...expected,
        locator: { by: 'path', path: '/f' },
        keys: ['path', ...text.split(',').map((item) => item.split('=')[0])],
      });
    });
  }

  it('remembers the keys in the order in which they were given', () => {
    assert.deepEqual(parse('size=512,autoclear=no,path=/f').keys, ['size', 'autoclear', 'path']);
  });
});
