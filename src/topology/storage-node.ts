import { type Devnum, formatDevnum } from '../linux/devnum.js';
import { TELLS_LOOPS_APART } from '../linux/kernel-version.js';
import { LO_FLAGS_READ_ONLY, type LoopStatus } from '../linux/loop-ioctl.js';
import { belowDisk, belowLoop, mappedSegments, withRealFile } from './below.js';
import type { DeviceMap } from './device-map.js';
import { baseKey } from './extent.js';
import type { Segment } from './mapper-segments.js';
import type { Below } from './reach.js';
import { isBoundLoop, isPresent, readPresentDiskseq, type StackedBlock } from './stacked-block.js';

/** What is known of a device: what lies directly below it, and how one notices that this has changed. */
export interface StorageNode {
  readonly devnum: Devnum;
  /** `undefined` where there is no such device, or nothing can be said of it. */
  readonly below: Below | undefined;
  /** It could not be read: nobody knows what lies below. */
  readonly failed: boolean;
  /** Whether it claims what lies below, so that it is among the `holders` of that. */
  readonly claims: boolean;
  /** All of it as text, to compare it with what is read later. */
  readonly text: string;
  /**
   * Looks at once whether it still holds, where an event does not tell; `undefined` where every change
   * is told.
   */
  readonly holds: (() => boolean) | undefined;
}

/** Longer than any partition. */
const ENDLESS = 1n << 62n;

/**
 * Reads what lies directly below a device, in such a form that it holds until an event comes or `holds`
 * says no. What is told of changes (seen on Linux 6.1.176 and 6.18.44, and in their source):
 *
 * - a mapper device gets another live table: `change`, when it is resumed (drivers/md/dm-ioctl.c,
 *   do_resume);
 * - a loop device is unbound: `change` (drivers/block/loop.c, __loop_clr_fd). It is bound, or a
 *   read-only one exchanges its file: `change` where `loopsAreTold`, else nothing. Its window moves:
 *   `change`, but this is not relied on (`StorageNodes.agrees`);
 * - a partition is deleted: `remove`. Its size changes: nothing (block/partitions/core.c);
 * - another disk gets or loses devices below, such as md: not each time;
 * - a device goes, and another one may get its number: `remove`.
 *
 * So the bytes may be more than those that the device stands on, and are never less: the end of a
 * partition and the window of a loop device on a block device are left out.
 */
export async function readNode(
  map: DeviceMap,
  devnum: Devnum,
  loopsAreTold: boolean,
): Promise<StorageNode> {
  try {
    const block = map.block(devnum);
    if (block === undefined) return node(devnum, undefined, 'absent', () => !isPresent(devnum));
    if (block.kind === 'loop') return await readLoopNode(map, devnum, loopsAreTold);
    return await readOther(block);
  } catch {
    // Whoever needs it looks for himself, and meets the error.
    return { ...node(devnum, undefined, 'failed', () => false), failed: true };
  }
}

async function readLoopNode(map: DeviceMap, devnum: Devnum, isTold: boolean): Promise<StorageNode> {
  const diskseq = readPresentDiskseq(devnum);
  const status = await map.loop(devnum);
  const known = belowLoopOfNode(status);
  const text = textOf(known);
  const block = map.block(devnum);
  const below = block ? await withRealFile(block, known) : known;
  if (status === undefined) return node(devnum, below, text, () => !isBoundLoop(devnum));
  // Only a read-only one can exchange its file (loop.c, loop_change_fd), and then has another diskseq.
  const isConstant = (status.flags & LO_FLAGS_READ_ONLY) === 0;
  if (isTold || isConstant) return node(devnum, below, text, undefined);
  const isSame = (): boolean => TELLS_LOOPS_APART && readPresentDiskseq(devnum) === diskseq;
  return node(devnum, below, text, isSame);
}

async function readOther(block: StackedBlock): Promise<StorageNode> {
  const { devnum, kind, partition, slaves } = block;
  if (partition !== undefined) {
    const { disk, start, size } = partition;
    if (size === 0n) throw new Error(`${block.directory} is going away`);
    const below = { segments: [{ at: 0n, start, length: ENDLESS, lower: disk }], unclaimed: [] };
    return node(devnum, below, textOf(below), undefined);
  }
  const mapped = kind === 'mapper' ? await mappedSegments(block) : undefined;
  const below = belowDisk(block, mapped);
  const isTold = mapped !== undefined || (slaves.length === 0 && !block.isVirtual);
  const names = slaves.map(formatDevnum).join();
  const isSame = (): boolean =>
    block.slaves.map(formatDevnum).join() === names && !isBoundLoop(devnum);
  return { ...node(devnum, below, textOf(below), isTold ? undefined : isSame), claims: true };
}

/** The same text for a loop device of this status, and for no other one. */
export function loopNodeText(status: LoopStatus | undefined): string {
  return textOf(belowLoopOfNode(status));
}

function belowLoopOfNode(status: LoopStatus | undefined): Below {
  const below = belowLoop(status);
  const isOnDevice = below.unclaimed.length > 0;
  const anywhere = { at: 0n, length: undefined, start: 0n } as const;
  const segments = below.unclaimed.map((lower) => ({ ...anywhere, lower }));
  return isOnDevice ? { ...below, segments } : below;
}

function node(
  devnum: Devnum,
  below: Below | undefined,
  text: string,
  holds: (() => boolean) | undefined,
): StorageNode {
  return { devnum, below, failed: false, claims: false, text, holds };
}

function textOf({ segments }: Below): string {
  return segments.map(segmentText).join(' ');
}

function segmentText(segment: Segment): string {
  const { at, length, endless, start, spread, beneath, readOnly } = segment;
  const target = 'base' in segment ? baseKey(segment.base) : formatDevnum(segment.lower);
  return `${at}+${length}${endless ? '…' : ''}>${target}@${start}/${spread}/${beneath}/${readOnly}`;
}
