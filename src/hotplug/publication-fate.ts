import { pollPatiently } from '../util/poll.js';
import type { Publication } from '../vbd/publish.js';
import { readVbdBackend, XenbusState } from '../vbd/vbd-backend.js';
import type { VbdInstance } from '../vbd/vbd-instance.js';
import { backendNode, type VbdPath } from '../vbd/vbd-path.js';
import type { RequestOptions, Xenstore } from '../xenstore/xenstore.js';

/**
 * What blkback has made, or may still make, of a publication:
 * - `open`: it has the device open;
 * - `never`: it has not, and never will;
 * - `pending`: it may open the device at any later time. It reads the number in one step and opens the
 *   device in another one, which a stalled disk holds up for as long as it likes.
 */
export type Fate = 'open' | 'never' | 'pending';

/** An instance whose nodes are gone, or that is closing, ends within milliseconds. */
const ENDING_MS = 1000;

/** Finds out the fate of what was published for an instance. Never rejects: in doubt it is pending. */
export async function readFate(
  store: Xenstore,
  instance: VbdInstance,
  signal: AbortSignal,
): Promise<Fate> {
  const { vbd, directory } = instance;
  const known = (): Fate | undefined => {
    if (directory.readOpenDevice() !== undefined) return 'open';
    return directory.isCurrent() ? undefined : 'never';
  };
  try {
    const before = known();
    if (before !== undefined) return before;
    const nodes = ['frontend', 'state', 'error'] as const;
    const backend = await readVbdBackend(store, vbd, { nodes, signal });
    // The driver has tried, failed and said so; it does not try again.
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
 * Asks for the end of a vbd whose attach has failed although blkback has its device, or may get it, as
 * libxl asks for it (libxl_device.c, libxl__initiate_device_generic_remove). The nodes that name the
 * device stay: they are the truth. Never rejects.
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
        // It says `connected` where the report was carried out although nobody waited for the answer.
        { op: 'remove', path: backendNode(vbd, 'hotplug-status') },
        ...(state?.toString() === XenbusState.Closed ? [] : [closing]),
      ],
      options,
    );
  } catch {
    // The toolstack is told of the failure by the exit status, and ends the vbd itself.
  }
}
