import { unbindLoop } from '../block/loop/release-loop.js';
import { readRecordLeniently } from '../vbd/record.js';
import type { VbdPath } from '../vbd/vbd-path.js';

/**
 * Unbinds the loop device that the record of a vbd names, if it belongs to a predecessor under the
 * same path that was never removed. The record is about to be replaced, and nothing else names that
 * loop device. Another add of the same vbd may have written the record a moment ago. That add's
 * loop device is in use, and only clears itself with its last close. Never rejects, because the
 * device that is attached now is another one.
 */
export async function unbindPredecessor(
  runDirectory: string,
  vbd: VbdPath,
  own: bigint,
  signal: AbortSignal,
): Promise<void> {
  const record = readRecordLeniently(runDirectory, vbd);
  if (record === undefined || !record.unbind || record.diskseq === own) return;
  await unbindLoop(record, signal).catch(() => undefined);
}
