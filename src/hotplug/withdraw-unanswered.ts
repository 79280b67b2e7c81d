import { formatDevnum } from '../linux/devnum.js';
import { listPendingOpensFor, markPendingOpen } from '../sharing/pending-opens.js';
import { poll } from '../util/poll.js';
import { isMadeAnew } from '../vbd/vbd-directory.js';
import { backendNode } from '../vbd/vbd-path.js';
import type { Xenstore } from '../xenstore/xenstore.js';
import type { DetachOptions } from './detach.js';
import type { Detachment } from './detachment.js';
import { holdMark, nobodyHolds } from './hold-device.js';

/** How long blkback may take to open a device whose number it has read already; milliseconds. */
const LATE_OPEN_MS = 1000;

/**
 * Takes back a publication that blkback has not answered, and waits a little for an open that is
 * under way. Notes in `detachment` whether blkback may still open the device. Throws `ELOCK` if the
 * lock that says so cannot be had or passed on, unless a loop device was made for the vbd, and throws
 * as the store does.
 */
export async function withdrawUnanswered(
  store: Xenstore,
  detachment: Detachment,
  { sysfs, runDirectory }: DetachOptions,
  signal: AbortSignal,
): Promise<string> {
  const { vbd, backend, directory, open, published, loop } = detachment;
  if (published === undefined || directory === undefined) return '';
  if (open !== undefined) return '';
  // Only a publication with a sequence number takes an error of a predecessor away (`publishSteps`).
  const hasFailed = published.diskseq !== undefined && backend.hasFailedToOpen;
  // The error may be about an earlier device, and then blkback opens the published one next.
  if (hasFailed && (await listPendingOpensFor(runDirectory, vbd)).length === 0) return '';
  // The add that has published the device may have been killed. Then only this lock says that blkback
  // may open it. A loop device clears itself with its last close, and its number is free then.
  const { devnum } = published;
  // Nobody has the device open from here on, so its number may become the number of another device.
  // The guest must not have that one even for reading, so its readers are kept away, too.
  const marking = markPendingOpen(runDirectory, vbd, { devnum, writable: true });
  // What was made for the vbd is undone in any case.
  const mark = await (loop ? marking.catch(() => undefined) : marking);
  detachment.mark = mark;
  // Once the publication is taken back, nothing but the lock names the device. So another process
  // has the lock before that: this one may be killed, or may not hear from xenstored any more.
  const what = `device ${formatDevnum(devnum)}`;
  const isHeld = mark !== undefined && holdMark(mark, { what, vbd, directory });
  if (!isHeld && loop === undefined) throw nobodyHolds(what);
  // Both nodes are compared, because a newer publication may have the same device number.
  const expected = (['physical-device', 'diskseq'] as const).map((node) => ({
    op: 'expect' as const,
    path: backendNode(vbd, node),
    value: backend.bytes(node),
  }));
  await store.transact(
    [...expected, { op: 'remove', path: backendNode(vbd, 'physical-device') }],
    // What another instance of the vbd names is its own, also if it is the same number.
    { signal, confirm: () => !isMadeAnew(sysfs, vbd.sysfsName, directory) },
  );
  const soon = AbortSignal.any([signal, AbortSignal.timeout(LATE_OPEN_MS)]);
  const isSettled = async (): Promise<true | undefined> =>
    directory.readOpenDevice() !== undefined || !directory.isCurrent() || undefined;
  detachment.pendingOpen = await poll(soon, isSettled).then(
    () => false,
    () => true,
  );
  // From here on, the device number may become the number of another device.
  signal.throwIfAborted();
  return '';
}
