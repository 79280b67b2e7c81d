import type { Kin, Mode, Rule, SharingCase, Verdict } from './case.js';
import type { SharingFixture } from './fixture.js';

/** Two ways to the same bytes: the first guest's, and the second one's. */
interface Overlap {
  readonly what: string;
  readonly make: (fixture: SharingFixture) => Promise<readonly [first: string, second: string]>;
  readonly plain?: boolean;
}

const OVERLAPS: readonly Overlap[] = [
  {
    what: 'the same file',
    make: async (fixture) => twice(fixture.file()),
  },
  {
    what: 'a file, and a hard link to it',
    make: async (fixture) => {
      const file = fixture.file();
      return [file, fixture.link(file)];
    },
  },
  {
    what: 'the same disk',
    make: async (fixture) => twice((await fixture.loop(fixture.file())).path),
  },
  {
    what: 'a file, and a loop device over it',
    make: async (fixture) => {
      const file = fixture.file();
      return [file, (await fixture.loop(file)).path];
    },
  },
  {
    what: 'a loop device, and its file',
    make: async (fixture) => {
      const file = fixture.file();
      return [(await fixture.loop(file)).path, file];
    },
  },
  {
    what: 'a disk, and a loop device over it',
    make: async (fixture) => {
      const disk = (await fixture.loop(fixture.file())).path;
      return [disk, (await fixture.loop(disk)).path];
    },
  },
  {
    what: 'a whole disk, and a partition of it',
    make: async (fixture) => {
      const { disk, parts } = await fixture.partitioned();
      return [disk, parts[0]];
    },
  },
  {
    what: 'a partition, and its whole disk',
    make: async (fixture) => {
      const { disk, parts } = await fixture.partitioned();
      return [parts[1], disk];
    },
  },
  {
    what: 'overlapping parts of a file',
    make: async (fixture) => {
      const file = fixture.file();
      return [`path=${file},offset=0,size=524288`, `path=${file},offset=262144,size=524288`];
    },
    plain: false,
  },
];

const twice = (path: string): readonly [string, string] => [path, path];

/** What the head of Xen's block-common.sh and the comment on its check_sharing say. */
const GUESTS: readonly (readonly [Mode, Mode, Kin, Verdict, Rule])[] = [
  ['r', 'r', 'other', 'free', 'readers'],
  ['w', 'r', 'other', 'busy', 'writer'],
  ['r', 'w', 'other', 'busy', 'alone'],
  ['w', 'w', 'other', 'busy', 'alone'],
  ['w', 'w', 'same', 'free', 'kin'],
];

const MODES = { r: 'read-only', w: 'read-write', 'r!': 'r!', 'w!': 'w!' } as const;
const KINS = {
  other: 'two guests',
  same: 'two domains of one machine',
  stub: 'a guest, then its stub domain',
  'stub-of': 'a stub domain, then its guest',
  gone: 'a domain that is gone, and another one',
} as const;

function guests(overlap: Overlap, row: (typeof GUESTS)[number]): SharingCase {
  const [first, second, kin, expected, rule] = row;
  return {
    what: `${overlap.what}: ${KINS[kin]}, ${MODES[first]}, then ${MODES[second]}`,
    arrange: async (fixture) => {
      const [there, wanted] = await overlap.make(fixture);
      await fixture.guest(there, first, kin);
      return { params: wanted, mode: second };
    },
    expected,
    rule,
    plain: overlap.plain ?? true,
  };
}

const sameFile = OVERLAPS[0] as Overlap;
const sameDisk = OVERLAPS[2] as Overlap;

const KIN_CASES = [
  guests(sameFile, ['w', 'w', 'stub', 'free', 'kin']),
  guests(sameFile, ['w', 'w', 'stub-of', 'free', 'kin']),
  guests(sameDisk, ['w', 'w', 'stub', 'free', 'kin']),
  guests(sameDisk, ['w', 'w', 'stub-of', 'free', 'kin']),
  guests(sameFile, ['w', 'w', 'gone', 'busy', 'alone']),
  guests(sameDisk, ['w', 'w', 'gone', 'busy', 'alone']),
  guests(sameDisk, ['w!', 'r', 'other', 'busy', 'writer']),
  guests(sameDisk, ['w', 'w!', 'other', 'free', 'asked']),
  guests(sameFile, ['w', 'w!', 'other', 'free', 'asked']),
  guests(sameDisk, ['w', 'r!', 'other', 'free', 'asked']),
];

/** A use that this domain makes of the bytes itself. */
function local(
  what: string,
  use: 'mount r' | 'mount w' | 'swap' | 'claim' | 'nothing',
  make: Overlap['make'],
  ...rows: readonly (readonly [Mode, Verdict, Rule])[]
): SharingCase[] {
  const words = {
    'mount r': 'mounted read-only',
    'mount w': 'mounted read-write',
    swap: 'used as swap',
    claim: 'held by a program',
    nothing: 'set up',
  }[use];
  return rows.map(([mode, expected, rule]) => ({
    what: `${what}, ${words} here; wanted ${MODES[mode as 'r' | 'w']}`,
    arrange: async (fixture) => {
      await fixture.kin('other');
      const [there, params] = await make(fixture);
      if (use === 'swap') await fixture.swap(there);
      else if (use === 'claim') fixture.claim(there);
      else if (use !== 'nothing') await fixture.mount(there, use === 'mount r' ? 'r' : 'w');
      return { params, mode };
    },
    expected,
    rule,
    plain: true,
  }));
}

const loopOfFile = OVERLAPS[4] as Overlap;
const loopOverDisk: Overlap['make'] = async (fixture) => {
  const disk = (await fixture.loop(fixture.file())).path;
  return [(await fixture.loop(disk)).path, disk];
};
const diskOfPartition = OVERLAPS[6] as Overlap;
const partitionOfDisk = OVERLAPS[7] as Overlap;
const otherPartition: Overlap['make'] = async (fixture) => (await fixture.partitioned()).parts;

const MOUNTED: readonly (readonly [string, Overlap['make']])[] = [
  ['a disk', sameDisk.make],
  ['a loop device over the file', loopOfFile.make],
  ['a loop device over the disk', loopOverDisk],
  ['the disk of the partition', diskOfPartition.make],
  ['a partition of the disk', partitionOfDisk.make],
];

const LOCAL_CASES = [
  ...MOUNTED.flatMap(([what, make]) => [
    ...local(what, 'mount w', make, ['r', 'busy', 'writer'], ['w', 'busy', 'alone']),
    ...local(what, 'mount r', make, ['r', 'free', 'readers'], ['w', 'busy', 'alone']),
  ]),
  ...local('a disk', 'swap', sameDisk.make, ['r', 'busy', 'writer'], ['w', 'busy', 'alone']),
  ...local('the file itself', 'swap', sameFile.make, ['r', 'busy', 'writer']),
  ...local('a disk', 'claim', sameDisk.make, ['r', 'busy', 'writer'], ['w', 'busy', 'alone']),
  ...local('a loop device over the file', 'claim', loopOfFile.make, ['w', 'busy', 'alone']),
  ...local('a partition of the disk', 'claim', partitionOfDisk.make, ['w', 'busy', 'alone']),
  ...local('a loop device over the file', 'nothing', loopOfFile.make, ['w', 'free', 'unused']),
  ...local('another partition of the disk', 'mount w', otherPartition, ['w', 'free', 'apart']),
];

const APART: readonly Overlap[] = [
  {
    what: 'two partitions of a disk',
    make: otherPartition,
  },
  {
    what: 'parts of a file that do not overlap',
    make: async (fixture) => {
      const file = fixture.file();
      return [`path=${file},size=524288`, `path=${file},offset=524288`];
    },
    plain: false,
  },
  {
    what: 'a part of a file, and a loop device over the rest',
    make: async (fixture) => {
      const file = fixture.file();
      const loop = await fixture.loop(file, { offset: 524288 });
      return [`path=${file},size=524288`, loop.path];
    },
    plain: false,
  },
];

const STALE: readonly SharingCase[] = [
  {
    what: 'an entry whose disk is another by now, as its diskseq tells; wanted read-write',
    arrange: async (fixture) => {
      const loop = await fixture.loop(fixture.file());
      await fixture.entry({ 'physical-device': loop.devnum, diskseq: '1' });
      return { params: loop.path, mode: 'w' };
    },
    expected: 'free',
    rule: 'stale',
    plain: true,
  },
  {
    what: 'the same without a diskseq, so that it may be this disk; wanted read-write',
    arrange: async (fixture) => {
      const loop = await fixture.loop(fixture.file());
      await fixture.entry({ 'physical-device': loop.devnum });
      return { params: loop.path, mode: 'w' };
    },
    expected: 'busy',
    rule: 'alone',
    plain: true,
  },
  {
    what: 'an entry whose device is gone; wanted read-write',
    arrange: async (fixture) => {
      await fixture.entry({ 'physical-device': '7:fffff' });
      return { params: fixture.file(), mode: 'w' };
    },
    expected: 'free',
    rule: 'stale',
    plain: true,
  },
];

/** What programs that serve disks do to an image. */
function image(
  what: string,
  use: (fixture: SharingFixture, file: string) => Promise<void> | void,
  ...rows: readonly (readonly [Mode, Verdict, Rule])[]
): SharingCase[] {
  return rows.map(([mode, expected, rule]) => ({
    what: `a file that ${what}; wanted ${MODES[mode]}`,
    arrange: async (fixture) => {
      await fixture.kin('other');
      const file = fixture.file();
      await use(fixture, file);
      return { params: file, mode };
    },
    expected,
    rule,
    plain: true,
  }));
}

const IMAGE_CASES = [
  ...image(
    'QEMU has locked as it does to write it',
    (fixture, file) => fixture.locked(file, [100, 101, 103, 201, 203], false),
    ['r', 'busy', 'writer'],
    ['w', 'busy', 'alone'],
  ),
  ...image(
    'QEMU has locked as it does to read it',
    (fixture, file) => fixture.locked(file, [100, 201, 203], false),
    ['r', 'free', 'readers'],
    ['w', 'busy', 'alone'],
  ),
  ...image('cloud-hypervisor has locked', (fixture, file) => fixture.locked(file, [0], true), [
    'w',
    'busy',
    'alone',
  ]),
  ...image(
    'QEMU serves to another guest (qdisk), read-write',
    (fixture, file) => fixture.qdisk(file, 'w'),
    ['r', 'busy', 'writer'],
    ['w', 'busy', 'alone'],
  ),
  ...image(
    'QEMU serves to another guest (qdisk), read-only',
    (fixture, file) => fixture.qdisk(file, 'r'),
    ['r', 'free', 'readers'],
    ['w', 'busy', 'alone'],
  ),
];

/** What a target says by itself; Xen's script knows of no such thing. */
function asked(first: Mode, words: string, mode: Mode, expected: Verdict): SharingCase {
  return {
    what: `the same file: two guests, ${MODES[first]}, then ${MODES[mode]} with ${words}`,
    arrange: async (fixture) => {
      const file = fixture.file();
      await fixture.guest(file, first);
      return { params: `path=${file},${words}`, mode };
    },
    expected,
    rule: 'asked',
    plain: false,
  };
}

export const CASES: readonly SharingCase[] = [
  ...OVERLAPS.flatMap((overlap) => GUESTS.map((row) => guests(overlap, row))),
  ...KIN_CASES,
  ...LOCAL_CASES,
  ...APART.map((overlap) => guests(overlap, ['w', 'w', 'other', 'free', 'apart'])),
  ...STALE,
  ...IMAGE_CASES,
  asked('w', 'sharing=allow', 'w', 'free'),
  asked('w', 'sharing=read-only', 'r', 'free'),
  asked('r', 'sharing=read-only', 'w', 'free'),
  asked('w', 'sharing=read-only', 'w', 'busy'),
  asked('r', 'sharing=deny', 'w', 'busy'),
];
