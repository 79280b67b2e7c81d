import { pollPatiently } from '../util/poll.js';
import type { Publication } from '../vbd/publish-device.js';
import { readVbdBackend, XenbusState } from '../vbd/vbd-backend.js';
import type { VbdInstance } from '../vbd/vbd-instance.js';
import { backendNode, type VbdPath } from '../vbd/vbd-path.js';
import type { RequestOptions, Xenstore } from '../xenstore/xenstore.js';

/**
 * What blkback has made, or may still make, of a publication:
 * - `open`: blkback has the device open;
 * - `never`: blkback has not opened the device, and never will;
 * - `pending`: blkback may open the device at any later time. It reads the number in one step and
 *   opens the device in another step, which a stalled disk can delay without limit.
 */
export type PublicationOutcome = 'open' | 'never' | 'pending';

/**
 * How long the end of an instance is waited for whose nodes are gone, or that is closing;
 * milliseconds. Such an instance ends within milliseconds.
 */
const ENDING_MS = 1000;

/**
 * Finds out what came of a publication for an instance. Never rejects: in doubt it returns
 * `pending`.
 */
export async function readPublicationOutcome(
  store: Xenstore,
  instance: VbdInstance,
  signal: AbortSignal,
): Promise<PublicationOutcome> {
  const { vbd, directory } = instance;
  const known = (): PublicationOutcome | undefined => {
    if (directory.readOpenDevice() !== undefined) return 'open';
    return directory.isCurrent() ? undefined : 'never';
  };
  try {
    const before = known();
    if (before !== undefined) return before;
    const nodes = ['frontend', 'state', 'error'] as const;
    const backend = await readVbdBackend(store, vbd, { nodes, signal });
    // The driver has tried to open the device, has failed and said so, and does not try again.
    if (backend.kernelError !== undefined) return known() ?? 'never';
    const state = backend.text('state');
    const ending = !backend.exists || state === XenbusState.Closing || state === XenbusState.Closed;
    if (!ending) return 'pending';
    const soon = AbortSignal.any([signal, AbortSignal.timeout(ENDING_MS)]);
    return await pollPatiently(soon, async () => known());
  } catch {
    return 'pending';
  }
}

/**
 * Asks for the end of a vbd whose attach has failed although blkback has its device, or may get it.
 * The request is the one that libxl makes (libxl_device.c, libxl__initiate_device_generic_remove).
 * The nodes that name the device stay, because they are the truth. Never rejects.
 */
export async function requestEnd(
  store: Xenstore,
  vbd: VbdPath,
  publication: Publication,
  options: RequestOptions,
): Promise<void> {
  const number = publication['physical-device'];
  try {
    const [state] = await store.readMany([backendNode(vbd, 'state')], options);
    const closing = {
      op: 'write',
      path: backendNode(vbd, 'state'),
      value: XenbusState.Closing,
    } as const;
    await store.transact(
      [
        { op: 'exists', path: backendNode(vbd, 'frontend') },
        { op: 'expect', path: backendNode(vbd, 'physical-device'), value: number },
        { op: 'write', path: backendNode(vbd, 'online'), value: '0' },
        // This node says `connected` where xenstored carried the report out although this program
        // no longer waited for the reply.
        { op: 'remove', path: backendNode(vbd, 'hotplug-status') },
        ...(state?.toString() === XenbusState.Closed ? [] : [closing]),
      ],
      options,
    );
  } catch {
    // The exit status tells the toolstack of the failure, and the toolstack ends the vbd itself.
  }
}
