import { type MapperTarget, readMapper } from '../linux/device-mapper.js';
import { type Devnum, formatDevnum, parseDevnum } from '../linux/devnum.js';
import type { Base } from './extent.js';

/** Where some bytes of a device lie: on a device below, or nowhere below, where others could meet them. */
export type Segment = Place & ({ readonly lower: Devnum } | { readonly base: Base });

interface Place {
  /** The first of them; in bytes of the device. */
  readonly at: bigint;
  /** How many there are; `undefined` for all, in no order that is known. */
  readonly length: bigint | undefined;
  /** They are all bytes from `at` on, in their order, and `length` says nothing. */
  readonly endless?: true;
  /** Where the first of them lies below, or on the base. */
  readonly start: bigint;
  /** They are spread over so many bytes from `start` on; it is not told which are where. */
  readonly spread?: bigint | 'all' | undefined;
  /** Uses that come down through the same place, by this key, are compared above and not below it. */
  readonly beneath?: string;
  /** These bytes are only read, whatever is done to the device. */
  readonly readOnly?: true;
}

const SECTOR = 512n;

/**
 * Where the bytes of a mapper device lie, according to its live table; `undefined` where it has none.
 * `slaves` are the devices that it was made of. Throws `SystemError`.
 */
export async function readMapperSegments(
  devnum: Devnum,
  slaves: () => readonly Devnum[],
  signal?: AbortSignal,
): Promise<readonly Segment[] | undefined> {
  const state = await readMapper({ devnum }, signal);
  return state?.live ? tableSegments(devnum, state.targets, slaves) : undefined;
}

/** The same for a table's lines (Documentation/admin-guide/device-mapper). Pure. */
export function tableSegments(
  devnum: Devnum,
  targets: readonly MapperTarget[],
  slaves: () => readonly Devnum[],
): readonly Segment[] {
  const known = targets.map(targetSegments);
  if (!known.includes(undefined)) return known.flatMap((segments) => segments ?? []);
  const named = targets.map(namedDevices);
  const keys = new Set(named.flat().map(formatDevnum));
  // A line that names a device in another way has it all the same.
  const unnamed = slaves().filter((slave) => !keys.has(formatDevnum(slave)));
  return targets.flatMap((target, index) => {
    const lower = [...(named[index] ?? []), ...unnamed];
    return known[index] ?? hiddenSegments(devnum, placeOf(target), lower);
  });
}

/**
 * The segments of bytes of a device that does not tell where they lie: they are the device's own, and
 * may be anywhere on what it stands on.
 */
export function hiddenSegments(
  devnum: Devnum,
  place: { readonly at: bigint; readonly length: bigint | undefined; readonly endless?: true },
  lower: readonly Devnum[],
): Segment[] {
  const beneath = `device ${formatDevnum(devnum)}`;
  const own: Segment = { ...place, start: place.at, base: { kind: 'disk', devnum } };
  return [own, ...lower.map((device) => ({ ...place, ...ANYWHERE, lower: device, beneath }))];
}

const ANYWHERE = { start: 0n, spread: 'all' } as const;

function placeOf({ start, length }: MapperTarget): { at: bigint; length: bigint } {
  return { at: start * SECTOR, length: length * SECTOR };
}

/** The segments of a line; `undefined` for a target that does not tell. */
function targetSegments(target: MapperTarget): Segment[] | undefined {
  const words = target.params.split(' ');
  const place = placeOf(target);
  const all = (count: number, pairs: readonly Located[]): Segment[] | undefined =>
    pairs.length === count && count > 0
      ? pairs.map((lower) => ({ ...place, ...lower }))
      : undefined;
  switch (target.type) {
    case 'zero':
    case 'error':
      return [];
    case 'linear':
      return all(1, located(words.slice(0, 2)));
    case 'crypt':
      return all(1, located(words.slice(3, 5)));
    case 'mirror':
      return mirrorSegments(place, words);
    case 'snapshot-origin':
      return originSegments(place, parseDevnum(words[0] ?? ''));
    case 'snapshot':
      return snapshotSegments(place, parseDevnum(words[0] ?? ''), parseDevnum(words[1] ?? ''));
    case 'thin-pool':
      return poolSegments(place, parseDevnum(words[0] ?? ''), parseDevnum(words[1] ?? ''));
    case 'thin':
      return thinSegments(place, words);
    case 'striped': {
      const stripes = all(Number(words[0]), located(words.slice(2)));
      return stripes?.map((stripe) => ({
        ...stripe,
        spread: place.length / BigInt(stripes.length),
      }));
    }
    default:
      return undefined;
  }
}

type Line = ReturnType<typeof placeOf>;

/** Each byte is on every leg, at a place that is known (drivers/md/dm-raid1.c, mirror_ctr). */
function mirrorSegments(place: Line, words: readonly string[]): Segment[] | undefined {
  const count = Number(words[1]);
  const legs = located(words.slice(3 + count, 3 + count + 2 * Number(words[2 + count])));
  if (legs.length === 0 || legs.length !== Number(words[2 + count])) return undefined;
  const log = words
    .slice(2, 2 + count)
    .map(parseDevnum)
    .filter(isDevnum);
  return [
    ...legs.map((leg) => ({ ...place, ...leg })),
    ...log.map((lower) => ({ ...place, ...ANYWHERE, lower })),
  ];
}

/**
 * What is written through the origin is kept for the snapshots first (snapshot.rst): these two are
 * compared as other devices, while the device below can be reached by other ways too.
 */
function originSegments(place: Line, origin: Devnum | undefined): Segment[] | undefined {
  if (origin === undefined) return undefined;
  const base = { kind: 'origin', devnum: origin } as const;
  return [
    { ...place, start: place.at, lower: origin, beneath: originKey(origin) },
    { ...place, start: place.at, base },
  ];
}

/** What is written to a snapshot goes to its exceptions; what is not there is read from the origin. */
function snapshotSegments(
  place: Line,
  origin: Devnum | undefined,
  exceptions: Devnum | undefined,
): Segment[] | undefined {
  if (origin === undefined || exceptions === undefined) return undefined;
  return [
    { ...place, start: place.at, lower: origin, beneath: originKey(origin), readOnly: true },
    { ...place, ...ANYWHERE, lower: exceptions },
  ];
}

function originKey(origin: Devnum): string {
  return `origin ${formatDevnum(origin)}`;
}

/** The pool shows its data device as it is (drivers/md/dm-thin.c, pool_map). */
function poolSegments(
  place: Line,
  metadata: Devnum | undefined,
  data: Devnum | undefined,
): Segment[] | undefined {
  if (metadata === undefined || data === undefined) return undefined;
  return [
    { ...place, start: place.at, lower: data },
    { ...place, ...ANYWHERE, lower: metadata },
  ];
}

/**
 * Blocks of a pool belong to one volume, or are shared with its snapshots until they are written; what
 * was never written is read from the external origin, if there is one (thin-provisioning.rst).
 */
function thinSegments(place: Line, words: readonly string[]): Segment[] | undefined {
  const [pool, id, origin] = [parseDevnum(words[0] ?? ''), words[1], parseDevnum(words[2] ?? '')];
  if (pool === undefined || id === undefined) return undefined;
  return [
    { ...place, start: place.at, base: { kind: 'thin', pool, id } },
    { ...place, ...ANYWHERE, lower: pool, beneath: `${POOL}${formatDevnum(pool)}` },
    ...(origin ? [{ ...place, start: place.at, lower: origin, readOnly: true } as const] : []),
  ];
}

/** How the keys begin of places beneath which a thin pool keeps its volumes apart. */
export const POOL = 'pool ';

interface Located {
  readonly lower: Devnum;
  readonly start: bigint;
}

/** Pairs of device and offset in sectors. */
function located(words: readonly string[]): Located[] {
  return words.flatMap((word, index) => {
    const lower = index % 2 === 0 ? parseDevnum(word) : undefined;
    const offset = words[index + 1] ?? '';
    return lower && /^\d+$/.test(offset) ? [{ lower, start: BigInt(offset) * SECTOR }] : [];
  });
}

/** The devices that a line names. */
function namedDevices({ params }: MapperTarget): Devnum[] {
  return params.split(' ').map(parseDevnum).filter(isDevnum);
}

function isDevnum(devnum: Devnum | undefined): devnum is Devnum {
  return devnum !== undefined;
}
