import type { Kin, Mode, Rule, SharingCase, Verdict } from './case.js';
import type { SharingFixture } from './fixture.js';

/** The sectors of a disk of the fixture, and half of them. */
const ALL = 2048;
const HALF = 1024;

type Pair = readonly [first: string, second: string];

/** Returns cases in which two guests each have a way of their own to the bytes. */
export function pair(
  what: string,
  make: (fixture: SharingFixture) => Promise<Pair>,
  ...rows: readonly (readonly [Mode, Mode, Verdict, Rule, Kin?])[]
): SharingCase[] {
  return rows.map(([first, mode, expected, rule, kin = 'other']) => ({
    what: `${what}: ${first}, then ${mode}${kin === 'same' ? ', of one machine' : ''}`,
    arrange: async (fixture) => {
      const [there, params] = await make(fixture);
      await fixture.guest(there, first, kin);
      return { params, mode };
    },
    expected,
    rule,
    plain: false,
  }));
}

/**
 * Returns cases with a mapper device that no guest has. It has claimed the device below all the
 * same.
 */
export function idle(
  what: string,
  make: (fixture: SharingFixture) => Promise<string>,
  ...rows: readonly (readonly [Mode, Verdict, Rule])[]
): SharingCase[] {
  return rows.map(([mode, expected, rule]) => ({
    what: `${what}; wanted ${mode}`,
    arrange: async (fixture) => {
      await fixture.kin('other');
      return { params: await make(fixture), mode };
    },
    expected,
    rule,
    plain: false,
  }));
}

/** Makes a loop device over a new file, and returns its path. */
export const disk = async (fixture: SharingFixture, content?: string): Promise<string> =>
  (await fixture.loop(fixture.file(content))).path;
/** Returns the line of a linear table; start and length are in sectors. */
export const linear = (device: string, start = 0, sectors = ALL): string =>
  `0 ${sectors} linear ${device} ${start}`;

async function overDisk(
  fixture: SharingFixture,
  readOnly = false,
): Promise<{ disk: string; mapper: string }> {
  const below = await disk(fixture);
  return { disk: below, mapper: await fixture.mapped(linear(below), { readOnly }) };
}

/** The cases with mapper devices over disks. */
export const MAPPER_CASES: readonly SharingCase[] = [
  ...pair(
    'a linear mapper device, and its disk',
    async (fixture) => {
      const { disk: below, mapper } = await overDisk(fixture);
      return [mapper, below];
    },
    ['w', 'w', 'busy', 'alone'],
    ['w', 'r', 'busy', 'writer'],
    ['w', 'w', 'free', 'kin', 'same'],
  ),
  ...pair(
    'a read-only linear mapper device, and its disk',
    async (fixture) => {
      const { disk: below, mapper } = await overDisk(fixture, true);
      return [mapper, below];
    },
    ['r', 'r', 'free', 'readers'],
    ['r', 'w', 'busy', 'alone'],
  ),
  ...pair(
    'a disk, and a linear mapper device over it',
    async (fixture) => {
      const { disk: below, mapper } = await overDisk(fixture);
      // Without this setting the first guest would not get the disk, because the mapper device has
      // claimed it.
      return [`path=${below},sharing=allow`, mapper];
    },
    ['w', 'w', 'busy', 'alone'],
    ['r', 'r', 'free', 'readers'],
  ),
  ...pair(
    'two mapper devices over the same half of a disk',
    async (fixture) => {
      const below = await disk(fixture);
      const one = await fixture.mapped(linear(below, 0, HALF));
      return [one, await fixture.mapped(linear(below, 0, HALF))];
    },
    ['r', 'r', 'free', 'readers'],
    ['w', 'r', 'busy', 'writer'],
  ),
  ...pair(
    'two mapper devices over two halves of a disk',
    async (fixture) => {
      const below = await disk(fixture);
      const one = await fixture.mapped(linear(below, 0, HALF));
      return [one, await fixture.mapped(linear(below, HALF, HALF))];
    },
    ['w', 'w', 'free', 'apart'],
  ),
  ...pair(
    'two mapper devices that overlap on a disk by one sector',
    async (fixture) => {
      const below = await disk(fixture);
      const one = await fixture.mapped(linear(below, 0, HALF + 1));
      return [one, await fixture.mapped(linear(below, HALF, HALF))];
    },
    ['w', 'w', 'busy', 'alone'],
  ),
  ...pair(
    'a mapper device over the first half of a disk, and a partition in the second half',
    async (fixture) => {
      const { disk: below, parts } = await fixture.partitioned();
      return [await fixture.mapped(linear(below, 0, 512)), parts[1]];
    },
    ['w', 'w', 'free', 'apart'],
  ),
  ...pair(
    'an encrypted mapper device, and a linear one over the same disk',
    async (fixture) => {
      const below = await disk(fixture);
      const key = '0123456789abcdef'.repeat(4);
      const crypt = await fixture.mapped(
        `0 ${HALF} crypt aes-cbc-essiv:sha256 ${key} 0 ${below} 8`,
      );
      return [crypt, await fixture.mapped(linear(below, HALF, HALF))];
    },
    ['w', 'w', 'busy', 'alone'],
  ),
  ...pair(
    'an encrypted mapper device, and a linear one over the rest of the disk',
    async (fixture) => {
      const below = await disk(fixture);
      const key = '0123456789abcdef'.repeat(4);
      const crypt = await fixture.mapped(
        `0 ${HALF} crypt aes-cbc-essiv:sha256 ${key} 0 ${below} 0`,
      );
      return [crypt, await fixture.mapped(linear(below, HALF, HALF))];
    },
    ['w', 'w', 'free', 'apart'],
  ),
  ...pair(
    'a striped mapper device, and a linear one over a part of a stripe',
    async (fixture) => {
      const [one, two] = [await disk(fixture), await disk(fixture)];
      const striped = await fixture.mapped(`0 ${ALL} striped 2 128 ${one} 0 ${two} 0`);
      return [striped, await fixture.mapped(linear(two, 0, 8))];
    },
    ['w', 'w', 'busy', 'alone'],
  ),
  ...pair(
    'a striped mapper device, and a linear one beyond its stripes',
    async (fixture) => {
      const [one, two] = [await disk(fixture), await disk(fixture)];
      const striped = await fixture.mapped(`0 ${ALL} striped 2 128 ${one} 0 ${two} 0`);
      return [striped, await fixture.mapped(linear(two, HALF, HALF))];
    },
    ['w', 'w', 'free', 'apart'],
  ),
  ...pair(
    'a mapper device over a mapper device over a loop device, and the file',
    async (fixture) => {
      const file = fixture.file();
      const below = await fixture.mapped(linear((await fixture.loop(file)).path));
      return [await fixture.mapped(linear(below)), file];
    },
    ['w', 'w', 'busy', 'alone'],
  ),
  ...pair(
    'a file, and a mapper device over a mapper device over a loop device over it',
    async (fixture) => {
      const file = fixture.file();
      const below = await fixture.mapped(linear((await fixture.loop(file)).path));
      return [`path=${file},sharing=allow`, await fixture.mapped(linear(below))];
    },
    ['w', 'w', 'busy', 'alone'],
  ),
  ...pair(
    'a snapshot, and another mapper device over its exceptions',
    async (fixture) => {
      const [origin, exceptions] = [await disk(fixture), await disk(fixture)];
      const snapshot = await fixture.mapped(`0 ${ALL} snapshot ${origin} ${exceptions} N 8`);
      return [snapshot, await fixture.mapped(linear(exceptions, ALL - 8, 8))];
    },
    ['w', 'w', 'busy', 'alone'],
  ),
  ...pair(
    'two snapshots of one origin, each with exceptions of its own',
    async (fixture) => {
      const [origin, one, two] = [await disk(fixture), await disk(fixture), await disk(fixture)];
      const first = await fixture.mapped(`0 ${ALL} snapshot ${origin} ${one} N 8`);
      return [first, await fixture.mapped(`0 ${ALL} snapshot ${origin} ${two} N 8`)];
    },
    ['w', 'w', 'free', 'apart'],
  ),
  ...pair(
    'two guests with a layer each over one disk',
    async (fixture) => {
      const params = `path=${await disk(fixture)},layer=linear`;
      return [params, params];
    },
    ['r', 'r', 'free', 'readers'],
    ['w', 'w', 'busy', 'alone'],
  ),
  ...pair(
    'a guest with a layer over a file, and one with the file',
    async (fixture) => {
      const file = fixture.file();
      return [`path=${file},layer=linear`, file];
    },
    ['r', 'r', 'free', 'readers'],
    ['w', 'w', 'busy', 'alone'],
    ['w', 'w', 'free', 'kin', 'same'],
  ),
  ...idle(
    'a disk under a mapper device that nobody uses',
    async (fixture) => (await overDisk(fixture)).disk,
    ['w', 'free', 'unused'],
  ),
  ...idle(
    'the origin of a snapshot that nobody uses',
    async (fixture) => {
      const [origin, exceptions] = [await disk(fixture), await disk(fixture)];
      await fixture.mapped(`0 ${ALL} snapshot ${origin} ${exceptions} N 8`);
      return origin;
    },
    ['w', 'busy', 'alone'],
  ),
  ...idle(
    'a mapper device beside one over the same disk that a program has opened exclusively',
    async (fixture) => {
      const { disk: below, mapper } = await overDisk(fixture);
      fixture.claim(await fixture.mapped(linear(below, HALF, HALF)));
      return mapper;
    },
    ['w', 'busy', 'alone'],
  ),
  ...idle(
    'a mapper device beside one over the other half of the disk that a program has opened so',
    async (fixture) => {
      const below = await disk(fixture);
      fixture.claim(await fixture.mapped(linear(below, HALF, HALF)));
      return await fixture.mapped(linear(below, 0, HALF));
    },
    ['w', 'free', 'apart'],
  ),
  ...idle(
    'a disk under a read-only mapper device that a program has opened exclusively',
    async (fixture) => {
      const { disk: below, mapper } = await overDisk(fixture, true);
      fixture.claim(mapper);
      return below;
    },
    ['r', 'free', 'readers'],
    ['w', 'busy', 'alone'],
  ),
  ...idle(
    'a file under a loop device under a mapper device that nobody uses',
    async (fixture) => {
      const file = fixture.file();
      await fixture.mapped(linear((await fixture.loop(file)).path));
      return file;
    },
    ['w', 'free', 'unused'],
  ),
];
