import assert from 'node:assert/strict';
import {
  DM_FLAG,
  decodeDmReply,
  decodeNames,
  decodeTargets,
  encodeTable,
  HEADER_SIZE,
} from '../../src/linux/dm-ioctl.js';
import { parseFileLocks } from '../../src/linux/file-locks.js';
import { parseMountinfo, parseSwaps, unescapeOctal } from '../../src/linux/mounts.js';
import { parseUdevEntry } from '../../src/linux/udev-database.js';
import { parseUevent } from '../../src/linux/uevents.js';
import { tableSegments } from '../../src/topology/mapper-segments.js';
import { parseLoops } from '../../src/topology/partition-list.js';
import type { Random } from '../bed/random.js';
import { anyBytes, anyText, damaged, damagedBytes } from './inputs.js';
import { property } from './property.js';

/** Escapes a path as seq_path does (fs/seq_file.c, mangle_path with " \t\n\\"). */
function escapePath(path: string): string {
  return path.replace(
    /[ \t\n\\]/g,
    (found) => `\\${found.charCodeAt(0).toString(8).padStart(3, '0')}`,
  );
}

const TYPES = [
  ...['linear', 'striped', 'crypt', 'mirror', 'snapshot', 'snapshot-origin', 'thin', 'thin-pool'],
  ...['zero', 'error', 'verity', 'raid', 'cache', 'multipath', ''],
];

function anyParams(random: Random): string {
  const word = (): string =>
    random.pick([
      '7:0',
      '253:1',
      '0',
      '8',
      '2',
      '1',
      '-3',
      '99999999999999999999',
      '-',
      '/dev/sda',
      'core',
    ]);
  return random.percent(80) ? random.list(random.below(9), word).join(' ') : anyText(random, 12);
}

describe('what the kernel tells as text or bytes', () => {
  property('mounts come back with their paths, whatever is in those', (random) => {
    const paths = random.list(
      random.below(4),
      () => `/${anyText(random, 8).replace(/[\0]|[\ud800-\udfff]|\ufeff/g, 'x')}`,
    );
    const text = paths
      .map((path, id) => `${id} 1 8:${id} / ${escapePath(path)} rw,nodev - ext4 /dev/sda rw\n`)
      .join('');
    assert.deepEqual(
      parseMountinfo(text).map(({ directory }) => directory),
      paths,
    );
  });

  property(
    'any other text of mounts, swaps, locks, loops and udev makes no exception',
    (random) => {
      const line = random.pick([
        '36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue',
        '/dev/dm-1 partition 8388604 0 -2',
        '1: POSIX  ADVISORY  WRITE 3568 fd:00:2531452 0 EOF',
        '2: OFDLCK ADVISORY  READ -1 00:2f:128 100 103',
        '   7        3     102400 loop3',
        'S:disk/by-id/wwn-0x5\nE:DM_NAME=vg-lv',
      ]);
      const text = random.list(random.below(4), () => damaged(random, line)).join('\n');
      for (const mount of parseMountinfo(text)) assert(mount.devnum.major >= 0);
      for (const path of parseSwaps(text)) assert(path.startsWith('/'));
      for (const lock of parseFileLocks(text)) assert(lock.start >= 0n);
      for (const [, devnum] of parseLoops(text)) assert(Number.isInteger(devnum.minor));
      parseUdevEntry(text);
      assert.equal(typeof unescapeOctal(text), 'string');
    },
  );

  property('events are about a block device with a number, or none', (random) => {
    const fields = [
      'add@/x',
      'SUBSYSTEM=block',
      'MAJOR=7',
      'MINOR=3',
      'ACTION=add',
      'DEVTYPE=disk',
    ];
    const event = parseUevent(damaged(random, `${random.shuffle(fields).join('\0')}\0`));
    if (event) assert(Number.isInteger(event.devnum.major));
  });

  property('a table is read back as it was written', (random) => {
    const params = Buffer.from(`${anyParams(random).replace(/\0/g, '')}\0`);
    const type = random.pick(TYPES);
    const target = { start: 0n, length: BigInt(random.next()), type, params };
    const bytes = encodeTable({ name: 'a', flags: DM_FLAG.readOnly }, target);
    const [found] = decodeTargets(bytes, 1);
    assert.deepEqual(
      { ...found, params: found?.params.toString('latin1') },
      { ...target, params: params.subarray(0, -1).toString('latin1') },
    );
    assert.equal(decodeDmReply(bytes).name, 'a');
  });

  property(
    'a damaged reply of the mapper ends, and makes no more lines than there are',
    (random) => {
      const params = Buffer.from(`${anyParams(random)}\0`);
      const target = { start: 0n, length: 8n, type: 'linear', params };
      const bytes = encodeTable({ name: 'a', flags: 0 }, target);
      // The reply of an ioctl is at least as long as its header, so the header stays whole.
      const damage = damagedBytes(random, bytes.subarray(HEADER_SIZE));
      const reply = Buffer.concat([bytes.subarray(0, HEADER_SIZE), damage, anyBytes(random)]);
      assert(decodeTargets(reply, 100).length <= 100);
      assert(decodeNames(reply).length <= reply.length);
    },
  );

  property('any line of a table gives places that are not negative', (random) => {
    const targets = random.list(random.below(4), () => ({
      start: BigInt(random.below(1000)),
      length: BigInt(random.below(1000)),
      type: random.pick(TYPES),
      params: anyParams(random),
    }));
    const slaves = (): { major: number; minor: number }[] => [{ major: 7, minor: 0 }];
    for (const { at, start } of tableSegments({ major: 253, minor: 9 }, targets, slaves)) {
      assert(at >= 0n && start >= 0n);
    }
  });
});
