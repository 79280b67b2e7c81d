import type { SharingFixture } from './fixture.js';

/** Two ways to bytes: the path or target of the first guest, and that of the second guest. */
export interface Overlap {
  readonly what: string;
  readonly make: (fixture: SharingFixture) => Promise<readonly [first: string, second: string]>;
  readonly plain?: boolean;
}

const twice = (path: string): readonly [string, string] => [path, path];

/** Both guests ask for the same file. */
export const sameFile: Overlap = {
  what: 'the same file',
  make: async (fixture) => twice(fixture.file()),
};

/** Both guests ask for the same disk. */
export const sameDisk: Overlap = {
  what: 'the same disk',
  make: async (fixture) => twice((await fixture.loop(fixture.file())).path),
};

/** The first guest has a loop device, and the second one asks for its file. */
export const loopOfFile: Overlap = {
  what: 'a loop device, and its file',
  make: async (fixture) => {
    const file = fixture.file();
    return [(await fixture.loop(file)).path, file];
  },
};

/** The first guest has a whole disk, and the second one asks for a partition of it. */
export const diskOfPartition: Overlap = {
  what: 'a whole disk, and a partition of it',
  make: async (fixture) => {
    const { disk, parts } = await fixture.partitioned();
    return [disk, parts[0]];
  },
};

/** The first guest has a partition, and the second one asks for the whole disk. */
export const partitionOfDisk: Overlap = {
  what: 'a partition, and its whole disk',
  make: async (fixture) => {
    const { disk, parts } = await fixture.partitioned();
    return [parts[1], disk];
  },
};

/** Pairs of ways that lead to bytes in common. */
export const OVERLAPS: readonly Overlap[] = [
  sameFile,
  {
    what: 'a file, and a hard link to it',
    make: async (fixture) => {
      const file = fixture.file();
      return [file, fixture.link(file)];
    },
  },
  sameDisk,
  {
    what: 'a file, and a loop device over it',
    make: async (fixture) => {
      const file = fixture.file();
      return [file, (await fixture.loop(file)).path];
    },
  },
  loopOfFile,
  {
    what: 'a disk, and a loop device over it',
    make: async (fixture) => {
      const disk = (await fixture.loop(fixture.file())).path;
      return [disk, (await fixture.loop(disk)).path];
    },
  },
  diskOfPartition,
  partitionOfDisk,
  {
    what: 'overlapping parts of a file',
    make: async (fixture) => {
      const file = fixture.file();
      return [`path=${file},offset=0,size=524288`, `path=${file},offset=262144,size=524288`];
    },
    plain: false,
  },
];

/** Makes a disk with two partitions, and returns both. */
export const otherPartition: Overlap['make'] = async (fixture) =>
  (await fixture.partitioned()).parts;

/** Pairs of ways that have no byte in common. */
export const APART: readonly Overlap[] = [
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
