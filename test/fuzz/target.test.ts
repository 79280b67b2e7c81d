import assert from 'node:assert/strict';
import { parseTarget } from '../../src/target/target.js';
import { TargetError } from '../../src/target/target-error.js';
import { decodePath, encodePath, showPath } from '../../src/util/path-bytes.js';
import type { Random } from '../bed/random.js';
import { anyBytes, anyText, damaged } from './inputs.js';
import { property } from './property.js';

const KEYS = [
  ...['path=/a', 'path=/a\\,b', 'dm-name=vg-lv', 'dm-uuid=LVM-x', 'diskseq=7', 'diskseq=0x1f'],
  ...['partition=1', 'symlinks=no', 'offset=512', 'size=4096', 'block-size=4096', 'direct-io=auto'],
  ...[
    'autoclear=no',
    'sharing=read-only',
    'deferred-remove=yes',
    'layer=crypt',
    'verity-root=00ff',
  ],
];

function anyTarget(random: Random): Buffer {
  if (random.percent(30)) return anyBytes(random);
  const list = random.shuffle(KEYS).slice(0, random.below(6)).join(',');
  return Buffer.from(damaged(random, random.percent(20) ? anyText(random) : list));
}

/** Parses a target. Returns `undefined` if it is refused with `ETARGET`, and fails otherwise. */
function parsed(bytes: Buffer): ReturnType<typeof parseTarget> | undefined {
  try {
    return parseTarget(bytes);
  } catch (error) {
    assert(error instanceof TargetError, String(error));
    assert.equal(error.code, 'ETARGET');
    assert(error.message.length < 20_000, 'the message is bounded');
    return undefined;
  }
}

describe('targets, whatever stands in params', () => {
  property('are parsed, or refused with ETARGET', (random) => {
    const target = parsed(anyTarget(random));
    if (target === undefined) return;
    const { locator, offset, size, blockSize } = target;
    assert(offset >= 0n && offset % 512n === 0n && offset < 1n << 63n);
    if (size !== undefined) assert(size > 0n && size % BigInt(blockSize) === 0n);
    assert([512, 1024, 2048, 4096].includes(blockSize));
    if (locator.by === 'path') {
      assert(locator.path.startsWith('/') && !locator.path.includes('\0'));
      assert(encodePath(locator.path).length < 4096);
    }
    if (locator.by === 'dm-name') assert(!/[/\0]/.test(locator.name) && locator.name !== '..');
    if (locator.by === 'diskseq') assert(locator.diskseq > 0n && locator.diskseq < 1n << 64n);
  });

  property('give back the path that was written, comma and all', (random) => {
    const name = anyText(random).replace(/[\0\\]|[\ud800-\udfff]/g, 'x');
    const path = `/srv/${name}`;
    const text = `path=${path.replaceAll(',', '\\,')}`;
    const target = parsed(Buffer.from(text));
    assert(target?.locator.by === 'path', text);
    assert.equal(target.locator.path, path);
  });

  it('of 4096 bytes, the longest value that XenStore has, take no time', () => {
    const shapes = ['\\', ',', 'a=', '=', '/', '\\,', 'path=', '0x', 'a=b,', ' '];
    for (const shape of shapes) parsed(Buffer.from(shape.repeat(4096 / shape.length)));
  });

  property('have one string for each path of bytes, and one path for each', (random) => {
    const bytes = anyBytes(random);
    assert.deepEqual(encodePath(decodePath(bytes)), bytes);
    assert(!/\p{Cc}/u.test(showPath(decodePath(bytes))));
  });
});
