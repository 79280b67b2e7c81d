import { type MapperTarget, readMapper } from '../linux/device-mapper.js';
import { type Devnum, parseDevnum } from '../linux/devnum.js';
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
  readonly spread?: bigint | undefined;
}

const SECTOR = 512n;
/** Some bytes of the device, or all, in no order that is known. */
const anywhere = { at: 0n, length: undefined, start: 0n };

/**
 * Where the bytes of a mapper device lie, according to its live table; `undefined` where that does not
 * tell: then all of every device below counts. Throws `SystemError`.
 */
export async function readMapperSegments(
  devnum: Devnum,
  signal?: AbortSignal,
): Promise<readonly Segment[] | undefined> {
  const state = await readMapper({ devnum }, signal);
  return state?.live ? tableSegments(state.targets) : undefined;
}

/** The same for a table's lines (Documentation/admin-guide/device-mapper). Pure. */
export function tableSegments(targets: readonly MapperTarget[]): readonly Segment[] | undefined {
  const segments: Segment[] = [];
  for (const target of targets) {
    const found = targetSegments(target);
    if (found === undefined) return undefined;
    segments.push(...found);
  }
  return segments;
}

function targetSegments({ start, length, type, params }: MapperTarget): Segment[] | undefined {
  const words = params.split(' ');
  const place = { at: start * SECTOR, length: length * SECTOR };
  switch (type) {
    case 'zero':
    case 'error':
      return [];
    case 'linear':
      return located(words.slice(0, 2)).map((lower) => ({ ...place, ...lower }));
    case 'crypt':
      return located(words.slice(3, 5)).map((lower) => ({ ...place, ...lower }));
    // What is written to it goes to its exceptions (Documentation/admin-guide/device-mapper/snapshot.rst).
    case 'snapshot':
      return located([words[1] ?? '', '0']).map(({ lower }) => ({ ...anywhere, lower }));
    // Blocks of a pool belong to one volume, or are shared with its snapshots until they are written
    // (thin-provisioning.rst).
    case 'thin': {
      const [pool, id] = [parseDevnum(words[0] ?? ''), words[1]];
      return pool && id
        ? [{ ...place, start: place.at, base: { kind: 'thin', pool, id } }]
        : undefined;
    }
    case 'striped': {
      const stripes = located(words.slice(2));
      if (stripes.length === 0 || stripes.length !== Number(words[0])) return undefined;
      const spread = place.length / BigInt(stripes.length);
      return stripes.map((lower) => ({ ...place, ...lower, spread }));
    }
    default:
      return undefined;
  }
}

/** Pairs of device and offset in sectors. */
function located(words: readonly string[]): { lower: Devnum; start: bigint }[] {
  return words.flatMap((word, index) => {
    const lower = index % 2 === 0 ? parseDevnum(word) : undefined;
    const offset = words[index + 1] ?? '';
    return lower && /^\d+$/.test(offset) ? [{ lower, start: BigInt(offset) * SECTOR }] : [];
  });
}
