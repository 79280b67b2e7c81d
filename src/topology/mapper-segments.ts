import { readMapper } from '../linux/device-mapper.js';
import { type Devnum, formatDevnum, parseDevnum } from '../linux/devnum.js';
import type { MapperTarget } from '../linux/mapper-state.js';
import { ANYWHERE, isDevnum, placeOf, type Segment, targetSegments } from './mapper-targets.js';

/**
 * Reads where the bytes of a mapper device lie, according to its live table; `undefined` where it
 * has none. `slaves` returns the devices that it was made of. Throws `SystemError`.
 */
export async function readMapperSegments(
  devnum: Devnum,
  slaves: () => readonly Devnum[],
  signal?: AbortSignal,
): Promise<readonly Segment[] | undefined> {
  const state = await readMapper({ devnum }, signal);
  return state?.live ? tableSegments(devnum, state.targets, slaves) : undefined;
}

/** Returns the segments of a table's lines (Documentation/admin-guide/device-mapper). Pure. */
export function tableSegments(
  devnum: Devnum,
  targets: readonly MapperTarget[],
  slaves: () => readonly Devnum[],
): readonly Segment[] {
  const known = targets.map(targetSegments);
  if (!known.includes(undefined)) return known.flatMap((segments) => segments ?? []);
  const named = targets.map(namedDevices);
  const keys = new Set(named.flat().map(formatDevnum));
  // A line stands on its devices also where it names them in a form that is not read here.
  const unnamed = slaves().filter((slave) => !keys.has(formatDevnum(slave)));
  return targets.flatMap((target, index) => {
    const lower = [...(named[index] ?? []), ...unnamed];
    return known[index] ?? hiddenSegments(devnum, placeOf(target), lower);
  });
}

/**
 * Returns the segments of a device that does not tell where its bytes lie. The bytes are the
 * device's own, and may be anywhere on the devices below.
 */
export function hiddenSegments(
  devnum: Devnum,
  place: { readonly at: bigint; readonly length: bigint | undefined; readonly endless?: true },
  lower: readonly Devnum[],
): Segment[] {
  const beneath = `device ${formatDevnum(devnum)}`;
  const own: Segment = { ...place, start: place.at, storage: { kind: 'disk', devnum } };
  return [own, ...lower.map((device) => ({ ...place, ...ANYWHERE, lower: device, beneath }))];
}

/** Returns the devices that a line names. */
function namedDevices({ params }: MapperTarget): Devnum[] {
  return params.split(' ').map(parseDevnum).filter(isDevnum);
}
