import { unbindLoop } from '../block/loop/release-loop.js';
import { readRecordLeniently, removeRecord } from '../vbd/record.js';
import type { VbdPath } from '../vbd/vbd-path.js';

/**
 * Unbinds the loop device that the record of a vbd names, if it belongs to a predecessor under the
 * same path that was never removed. The record is about to be replaced or removed, and nothing else
 * names that loop device. Another add of the same vbd may have written the record a moment ago. That add's
 * loop device is in use, and only clears itself with its last close. Never rejects, because the
 * device that is attached now is another one.
 * Returns whether there was such a device, and it clears itself from now on.
 */
export async function unbindPredecessor(
  runDirectory: string,
  vbd: VbdPath,
  own: bigint,
  signal: AbortSignal,
): Promise<boolean> {
  const record = readRecordLeniently(runDirectory, vbd);
  if (record === undefined || !record.unbind || record.diskseq === own) return false;
  return await unbindLoop(record, signal).then(
    () => true,
    () => false,
  );
}

/**
 * Does the same where the vbd gets no record of its own. The record is removed then: a remove would
 * take the predecessor's loop device for that of the vbd, and would not wait for the right one.
 */
export async function forgetPredecessor(
  runDirectory: string,
  vbd: VbdPath,
  own: bigint,
  signal: AbortSignal,
): Promise<void> {
  const before = readRecordLeniently(runDirectory, vbd);
  if (!(await unbindPredecessor(runDirectory, vbd, own, signal))) return;
  const isSame = readRecordLeniently(runDirectory, vbd)?.diskseq === before?.diskseq;
  if (isSame) removeRecord(runDirectory, vbd);
}
