import { unbindLoop } from '../block/loop/release-loop.js';
import { readRecordLeniently } from '../vbd/record.js';
import type { VbdPath } from '../vbd/vbd-path.js';

/**
 * Undoes what the record of a vbd tells of one that was there before under the same path, and that nobody
 * has removed: the record is about to be replaced, and nothing else tells of that loop device. Another add
 * of the same vbd may have written it a moment ago; then the loop device is in use, and only clears itself
 * with its last close. Never rejects: the device that is attached now is another one.
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
