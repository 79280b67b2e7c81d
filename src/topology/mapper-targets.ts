import { type Devnum, formatDevnum, parseDevnum } from '../linux/devnum.js';
import type { MapperTarget } from '../linux/mapper-state.js';
import type { Storage } from './extent.js';

// Where the bytes of one line of a mapper table lie, for each type of target.

/** Where some bytes of a device lie: on a device below, or on storage that others may reach as well. */
export type Segment = Place & ({ readonly lower: Devnum } | { readonly storage: Storage });

interface Place {
  /** Offset of the first byte in the device; in bytes, like all numbers here. */
  readonly at: bigint;
  /** How many bytes there are; `undefined` for all bytes, in an unknown order. */
  readonly length: bigint | undefined;
  /** Set for all bytes from `at` on, in their order; `length` then says nothing. */
  readonly endless?: true;
  /** Where the first byte lies on the device below, or in the storage. */
  readonly start: bigint;
  /** The bytes are spread over so many bytes from `start` on; nothing tells which byte is where. */
  readonly spread?: bigint | 'all' | undefined;
  /** Key of this place. Uses that come through the same place are compared above it, not below. */
  readonly beneath?: string;
  /** Set for bytes that are only read, whatever is done to the device. */
  readonly readOnly?: true;
}

const SECTOR = 512n;

/** The place of bytes that may be anywhere on the device below. */
export const ANYWHERE = { start: 0n, spread: 'all' } as const;

/** Returns the place of a line in its device; bytes. */
export function placeOf({ start, length }: MapperTarget): { at: bigint; length: bigint } {
  return { at: start * SECTOR, length: length * SECTOR };
}

/** Returns the segments of a line; `undefined` for a target that does not tell its places. */
export function targetSegments(target: MapperTarget): Segment[] | undefined {
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

/** Reads a mirror: each leg has all bytes, at known places (drivers/md/dm-raid1.c, mirror_ctr). */
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
 * Reads an origin. Its old bytes are saved for the snapshots before a write (snapshot.rst), so both
 * are compared as different devices. Other ways may lead to the device below, too.
 */
function originSegments(place: Line, origin: Devnum | undefined): Segment[] | undefined {
  if (origin === undefined) return undefined;
  const storage = { kind: 'origin', devnum: origin } as const;
  return [
    { ...place, start: place.at, lower: origin, beneath: originKey(origin) },
    { ...place, start: place.at, storage },
  ];
}

/** Reads a snapshot. Writes go to its exceptions; bytes not there are read from the origin. */
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

/** Reads a pool, which shows its data device unchanged (drivers/md/dm-thin.c, pool_map). */
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
 * Reads a thin volume. It has blocks of its own and blocks shared with its snapshots until written.
 * Blocks never written are read from the external origin, if any (thin-provisioning.rst).
 */
function thinSegments(place: Line, words: readonly string[]): Segment[] | undefined {
  const [pool, id, origin] = [parseDevnum(words[0] ?? ''), words[1], parseDevnum(words[2] ?? '')];
  if (pool === undefined || id === undefined) return undefined;
  return [
    { ...place, start: place.at, storage: { kind: 'thin', pool, id } },
    { ...place, ...ANYWHERE, lower: pool, beneath: `${POOL}${formatDevnum(pool)}` },
    ...(origin ? [{ ...place, start: place.at, lower: origin, readOnly: true } as const] : []),
  ];
}

/** The beginning of the keys of places beneath which a thin pool keeps its volumes apart. */
export const POOL = 'pool ';

interface Located {
  readonly lower: Devnum;
  readonly start: bigint;
}

/** Reads pairs of a device and an offset in sectors. */
function located(words: readonly string[]): Located[] {
  return words.flatMap((word, index) => {
    const lower = index % 2 === 0 ? parseDevnum(word) : undefined;
    const offset = words[index + 1] ?? '';
    return lower && /^\d+$/.test(offset) ? [{ lower, start: BigInt(offset) * SECTOR }] : [];
  });
}

/** Tells whether a device number could be read. */
export function isDevnum(devnum: Devnum | undefined): devnum is Devnum {
  return devnum !== undefined;
}
