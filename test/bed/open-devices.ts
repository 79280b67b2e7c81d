import assert from 'node:assert/strict';
import type { BlkbackEvent } from './blkback.js';

/** Returns the devices that blkback has open at the end of a log. */
export function openDevices(log: readonly BlkbackEvent[]): BlkbackEvent[] {
  let open: BlkbackEvent[] = [];
  for (const event of log) open = after(open, event);
  return open;
}

/**
 * Fails if blkback has ever had the same device, or two devices with the same content, open twice
 * at the same time, with at least one of them read-write. The first bytes identify a content, so
 * each disk of a test needs its own marker.
 */
export function assertNeverBeside(log: readonly BlkbackEvent[]): void {
  let open: BlkbackEvent[] = [];
  for (const event of log) {
    if (event.event === 'opened') {
      const beside = open.find((other) => meet(other, event) && (writes(other) || writes(event)));
      assert.equal(
        beside,
        undefined,
        `${event.vbd} has got what ${beside?.vbd} has open: ${JSON.stringify([beside, event])}`,
      );
    }
    open = after(open, event);
  }
}

function meet(one: BlkbackEvent, other: BlkbackEvent): boolean {
  if (one.dev === other.dev) return true;
  return one.bytes !== undefined && one.bytes !== '' && one.bytes === other.bytes;
}

function writes({ mode }: BlkbackEvent): boolean {
  return mode?.includes('w') ?? false;
}

function after(open: readonly BlkbackEvent[], event: BlkbackEvent): BlkbackEvent[] {
  if (event.event === 'opened') return [...open, event];
  if (event.event !== 'closed') return [...open];
  const closed = open.findIndex(
    ({ vbd, dev, diskseq }) => vbd === event.vbd && dev === event.dev && diskseq === event.diskseq,
  );
  return open.filter((_, index) => index !== closed);
}
