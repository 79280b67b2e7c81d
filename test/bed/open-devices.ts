import assert from 'node:assert/strict';
import type { BlkbackEvent } from './blkback.js';

/** What blkback has open at the end of a log. */
export function openDevices(log: readonly BlkbackEvent[]): BlkbackEvent[] {
  let open: BlkbackEvent[] = [];
  for (const event of log) open = after(open, event);
  return open;
}

/**
 * At no moment did blkback have the same content open twice, one of them read-write. It is known by its
 * first bytes, so each disk of a test needs a marker of its own.
 */
export function assertNeverBeside(log: readonly BlkbackEvent[]): void {
  let open: BlkbackEvent[] = [];
  for (const event of log) {
    if (event.event === 'opened' && event.bytes) {
      const beside = open.find(
        (other) =>
          other.bytes === event.bytes && (other.mode?.includes('w') || event.mode?.includes('w')),
      );
      assert.equal(
        beside,
        undefined,
        `${event.vbd} has got what ${beside?.vbd} has open: ${JSON.stringify([beside, event])}`,
      );
    }
    open = after(open, event);
  }
}

function after(open: readonly BlkbackEvent[], event: BlkbackEvent): BlkbackEvent[] {
  if (event.event === 'opened') return [...open, event];
  if (event.event !== 'closed') return [...open];
  const closed = open.findIndex(
    ({ vbd, dev, diskseq }) => vbd === event.vbd && dev === event.dev && diskseq === event.diskseq,
  );
  return open.filter((_, index) => index !== closed);
}
