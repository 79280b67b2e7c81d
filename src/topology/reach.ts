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
import type { Segment } from './mapper-targets.js';

/** The bytes and devices that lie under a device. */
export interface Reach {
  /** The bytes at the bottom; none for a device that has no bytes, or is gone. */
  readonly extents: readonly Extent[];
  /** Every device on the way down, the device itself included, as `major:minor`. */
  readonly stack: ReadonlySet<string>;
  /** Devices of the stack that no other device of the stack claims, so that others still can. */
  readonly unclaimed: readonly Devnum[];
}

/** What lies directly below a device, or the device's own bytes. */
export interface Below {
  readonly segments: readonly Segment[];
  /** Devices below that its driver does not claim. */
  readonly unclaimed: readonly Devnum[];
}

/**
 * The greatest depth of a stack. The kernel allows far less. The limit ends a descent that might go
 * on forever because a device changes meanwhile.
 */
const DEEPEST = 32;

/**
 * Follows a device down to files and disks. `below` looks up what lies directly below a device, and
 * returns `undefined` for a device that is not there. It is called again for a device that is met
 * twice. Throws as `below` does.
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
    // A volume of many pieces leads to the same disks with each piece.
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
      else extents.push({ storage: segment.storage, ...part });
    }
  };
  await descend(devnum, WHOLE, 0);
  return { extents, stack, unclaimed };
}

/** The bytes of a device that are of interest, and the way by which they were reached. */
type Way = Omit<Extent, 'storage'>;

function follow(way: Way, segment: Segment): Way {
  const beneath = [...(way.beneath ?? []), ...(segment.beneath ? [segment.beneath] : [])];
  return {
    ...projectSegment(way, segment),
    // The keys are sorted, so that the same devices give the same place.
    ...(beneath.length > 0 && { beneath: [...new Set(beneath)].sort() }),
    ...((way.readOnly || segment.readOnly) && { readOnly: true }),
  };
}

function describeStep(device: Devnum, { start, end, beneath = [], readOnly }: Way): string {
  return [formatDevnum(device), start, end, readOnly, ...beneath].join(' ');
}

/** Returns where a window lies below: the whole spread, where nothing more is known. */
function projectSegment(window: Window, segment: Segment): Window {
  const { at, length, start, spread, endless } = segment;
  if (length === undefined && !endless) return WHOLE;
  if (spread === undefined) return project(window, { at, start, length });
  const part = intersect(window, windowOf(at, length));
  if (isEmpty(part)) return { start: 0n, end: 0n };
  return spread === 'all' ? WHOLE : windowOf(start, spread);
}
