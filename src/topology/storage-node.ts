import { type Devnum, formatDevnum } from '../linux/devnum.js';
import { HAS_LOOP_DISKSEQ } from '../linux/kernel-version.js';
import { LO_FLAGS_READ_ONLY, type LoopStatus } from '../linux/loop-ioctl.js';
import { belowDisk, belowLoop, mappedSegments, withRealFile } from './below.js';
import { storageKey } from './extent.js';
import type { Segment } from './mapper-targets.js';
import type { Below } from './reach.js';
import { isBoundLoop, isPresent, readPresentDiskseq, type StackedBlock } from './stacked-block.js';
import type { StorageSnapshot } from './storage-snapshot.js';

/** What is known of a device: what lies directly below it, and how a change of this is noticed. */
export interface StorageNode {
  readonly devnum: Devnum;
  /**
   * What lies directly below; `undefined` where there is no such device, or where nothing is known
   * of it.
   */
  readonly below: Below | undefined;
  /** Whether the device could not be read, so that it is unknown what lies below. */
  readonly failed: boolean;
  /** Whether the device claims the devices below, so that it is among their `holders`. */
  readonly claims: boolean;
  /** All of this as text, to compare it with what is read later. */
  readonly text: string;
  /**
   * Checks at once whether the node still holds, where no event tells every change; `undefined`
   * where every change is told.
   */
  readonly holds: (() => boolean) | undefined;
}

/** More bytes than any partition has. */
const ENDLESS = 1n << 62n;

/**
 * Reads what lies directly below a device, in such a form that it holds until an event comes or
 * `holds` returns `false`. The kernel announces changes as follows (seen on Linux 6.1.176 and
 * 6.18.44, and in their source):
 *
 * - A mapper device gets another live table: `change`, when it is resumed (drivers/md/dm-ioctl.c,
 *   do_resume).
 * - A loop device is unbound: `change` (drivers/block/loop.c, __loop_clr_fd). A loop device is
 *   bound, or a read-only one exchanges its file: `change` where `loopsAreTold`, otherwise nothing.
 *   The window of a loop device moves: `change`, but nothing relies on this event
 *   (`StorageNodes.agrees`).
 * - A partition is deleted: `remove`. Its size changes: nothing (block/partitions/core.c).
 * - Another disk, such as md, gets or loses devices below: an event does not come each time.
 * - A device goes, and another device may get its number: `remove`.
 *
 * So the bytes may be more than those that the device stands on, and are never fewer: the end of a
 * partition and the window of a loop device on a block device are left out.
 */
export async function readNode(
  snapshot: StorageSnapshot,
  devnum: Devnum,
  loopsAreTold: boolean,
): Promise<StorageNode> {
  try {
    const block = snapshot.block(devnum);
    if (block === undefined) return node(devnum, undefined, 'absent', () => !isPresent(devnum));
    if (block.kind === 'loop') return await readLoopNode(snapshot, devnum, loopsAreTold);
    return await readOther(block);
  } catch {
    // A question that needs this device reads it itself, and meets the error.
    return { ...node(devnum, undefined, 'failed', () => false), failed: true };
  }
}

async function readLoopNode(
  snapshot: StorageSnapshot,
  devnum: Devnum,
  isTold: boolean,
): Promise<StorageNode> {
  const diskseq = readPresentDiskseq(devnum);
  const status = await snapshot.loop(devnum);
  const known = belowLoopOfNode(status);
  const text = textOf(known);
  const block = snapshot.block(devnum);
  const below = block ? await withRealFile(block, known) : known;
  if (status === undefined) return node(devnum, below, text, () => !isBoundLoop(devnum));
  // Only a read-only loop device can exchange its file (loop.c, loop_change_fd). It then has
  // another diskseq.
  const isConstant = (status.flags & LO_FLAGS_READ_ONLY) === 0;
  if (isTold || isConstant) return node(devnum, below, text, undefined);
  const isSame = (): boolean => HAS_LOOP_DISKSEQ && readPresentDiskseq(devnum) === diskseq;
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

/** Returns the text that the node of a loop device with this status has. */
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
  const target = 'storage' in segment ? storageKey(segment.storage) : formatDevnum(segment.lower);
  return `${at}+${length}${endless ? '…' : ''}>${target}@${start}/${spread}/${beneath}/${readOnly}`;
}
