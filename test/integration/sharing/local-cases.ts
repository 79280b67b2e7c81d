import { MODES, type Mode, type Rule, type SharingCase, type Verdict } from './case.js';
import type { SharingFixture } from './fixture.js';
import {
  diskOfPartition,
  loopOfFile,
  type Overlap,
  otherPartition,
  partitionOfDisk,
  sameDisk,
  sameFile,
} from './overlaps.js';

/** Returns the cases in which this domain uses the bytes itself. */
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

const loopOverDisk: Overlap['make'] = async (fixture) => {
  const disk = (await fixture.loop(fixture.file())).path;
  return [(await fixture.loop(disk)).path, disk];
};

const MOUNTED: readonly (readonly [string, Overlap['make']])[] = [
  ['a disk', sameDisk.make],
  ['a loop device over the file', loopOfFile.make],
  ['a loop device over the disk', loopOverDisk],
  ['the disk of the partition', diskOfPartition.make],
  ['a partition of the disk', partitionOfDisk.make],
];

/** Uses by this domain: mounted, used as swap, held by a program, or only set up. */
export const LOCAL_CASES: readonly SharingCase[] = [
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

/** Returns the cases in which a program that serves disks uses an image. */
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

/** Images that QEMU or cloud-hypervisor use. */
export const IMAGE_CASES: readonly SharingCase[] = [
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
