import { unbindLoop } from '../block/loop/release-loop.js';
import { readRecordLeniently, removeRecord, type VbdRecord } from '../vbd/record.js';
import type { VbdPath } from '../vbd/vbd-path.js';

/**
 * Unbinds the loop device that the record of a vbd names, if it belongs to a predecessor under the
 * same path that was never removed. The record is about to be replaced, and nothing else names that
 * loop device. Another add of the same vbd may have written the record a moment ago. That add's
 * loop device is in use, and only clears itself with its last close. Where it cannot be unbound, it
 * stays, because the device that is attached now is another one. Throws `ERECORD` where nobody can
 * tell whether there is a record, as all functions here.
 */
export async function unbindPredecessor(
  runDirectory: string,
  vbd: VbdPath,
  own: bigint,
  signal: AbortSignal,
): Promise<void> {
  const record = readPredecessor(runDirectory, vbd, own);
  if (record !== undefined) await unbindLoop(record, signal).catch(() => undefined);
}

/**
 * Does the same where the vbd gets no record of its own. Removes the record then: a remove would
 * take the predecessor's loop device for that of the vbd, and would not wait for the right one. The
 * record stays if the loop device cannot be unbound, or if another record has replaced it.
 */
export async function forgetPredecessor(
  runDirectory: string,
  vbd: VbdPath,
  own: bigint,
  signal: AbortSignal,
): Promise<void> {
  const record = readPredecessor(runDirectory, vbd, own);
  if (record === undefined) return;
  try {
    await unbindLoop(record, signal);
  } catch {
    return;
  }
  const isSame = readRecordLeniently(runDirectory, vbd)?.diskseq === record.diskseq;
  if (isSame) removeRecord(runDirectory, vbd);
}

/** Returns the record of a vbd if it names another loop device than `own`, which must be unbound. */
export function readPredecessor(
  runDirectory: string,
  vbd: VbdPath,
  own: bigint,
): VbdRecord | undefined {
  const record = readRecordLeniently(runDirectory, vbd);
  return record?.unbind && record.diskseq !== own ? record : undefined;
}
