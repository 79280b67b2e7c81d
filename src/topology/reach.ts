import { type Devnum, formatDevnum } from '../linux/devnum.js';
import {
  type Extent,
  intersect,
  isEmpty,
  project,
  WHOLE,
  type Window,
  windowOf,
} from './extent.js';
import type { Segment } from './mapper-segments.js';

/** What lies under a device. */
export interface Reach {
  /** The bytes at the bottom; none for a device that has none, or is gone. */
  readonly extents: readonly Extent[];
  /** Every device on the way down, the device itself included, as `major:minor`. */
  readonly stack: ReadonlySet<string>;
  /** Those of them whose claim is still to be had: nobody in this stack has claimed them. */
  readonly unclaimed: readonly Devnum[];
}

/** What lies directly below a device, or that it has the bytes itself. */
export interface Below {
  readonly segments: readonly Segment[];
  /** Devices below that its driver does not claim. */
  readonly unclaimed: readonly Devnum[];
}

/** The kernel allows far fewer; this ends what a device that changes meanwhile might begin. */
const DEEPEST = 32;

/**
 * Follows a device down to files and disks. `below` looks up what lies directly below a device,
 * `undefined` for one that is not there; it is asked again for a device that is met twice. Throws what
 * that throws.
 */
export async function followDown(
  devnum: Devnum,
  below: (devnum: Devnum) => Promise<Below | undefined>,
): Promise<Reach> {
  const extents: Extent[] = [];
  const stack = new Set<string>();
  const unclaimed = [devnum];
  const seen = new Set<string>();
  const descend = async (device: Devnum, way: Way, depth: number): Promise<void> => {
    if (isEmpty(way) || depth > DEEPEST) return;
    // A volume of many pieces comes to the same disks with each of them.
    const step = describeStep(device, way);
    if (seen.has(step)) return;
    seen.add(step);
    const found = await below(device);
    if (found === undefined) return;
    stack.add(formatDevnum(device));
    unclaimed.push(...found.unclaimed);
    for (const segment of found.segments) {
      const part = follow(way, segment);
      if ('lower' in segment) await descend(segment.lower, part, depth + 1);
      else extents.push({ base: segment.base, ...part });
    }
  };
  await descend(devnum, WHOLE, 0);
  return { extents, stack, unclaimed };
}

/** Which bytes of a device are of interest, and how one came to them. */
type Way = Omit<Extent, 'base'>;

function follow(way: Way, segment: Segment): Way {
  const beneath = [...(way.beneath ?? []), ...(segment.beneath ? [segment.beneath] : [])];
  return {
    ...projectSegment(way, segment),
    // In one order, so that the same devices give the same place.
    ...(beneath.length > 0 && { beneath: [...new Set(beneath)].sort() }),
    ...((way.readOnly || segment.readOnly) && { readOnly: true }),
  };
}

function describeStep(device: Devnum, { start, end, beneath = [], readOnly }: Way): string {
  return [formatDevnum(device), start, end, readOnly, ...beneath].join(' ');
}

/** Where a window lies below; all of the spread, where that is all that is known. */
function projectSegment(window: Window, segment: Segment): Window {
  const { at, length, start, spread, endless } = segment;
  if (length === undefined && !endless) return WHOLE;
  if (spread === undefined) return project(window, { at, start, length });
  const part = intersect(window, windowOf(at, length));
  if (isEmpty(part)) return { start: 0n, end: 0n };
  return spread === 'all' ? WHOLE : windowOf(start, spread);
}
