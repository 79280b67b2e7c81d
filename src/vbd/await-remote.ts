import { limitTime } from '../util/time-limit.js';
import { waitFor } from '../xenstore/wait-for.js';
import type { Xenstore } from '../xenstore/xenstore.js';
import { readVbdBackend, type VbdBackend } from './vbd-backend.js';
import { VbdError } from './vbd-error.js';
import type { VbdPath } from './vbd-path.js';
import { XenbusState } from './xenbus-state.js';

/** The node that proves that a vbd of another backend domain is served. */
export type RemoteOpenedBy = 'key' | 'hotplug-status';

/**
 * Waits until the nodes of a vbd of another backend domain say that it has its device: `opened`, or
 * `hotplug-status` if the blkback of that domain has no such node. Throws `EATTACH` or `EBUSY` with
 * the sentence of that domain if its add has failed, and `EGONE`, `EBLKBACK` and `ETIMEDOUT`.
 */
export function awaitRemoteOpened(
  store: Xenstore,
  vbd: VbdPath,
  options: { readonly timeoutMs: number; readonly signal?: AbortSignal | undefined },
): Promise<RemoteOpenedBy> {
  return awaitBackend(store, vbd, options, {
    judge: (backend) => {
      throwIfRemoteFailed(vbd, backend);
      const key = backend.text('opened');
      if (key !== undefined) return key === '1' ? 'key' : undefined;
      return backend.text('hotplug-status') === 'connected' ? 'hotplug-status' : undefined;
    },
    late: (seconds) =>
      `${vbd.backend} is not open after ${seconds} s: neither its device nor an error has been written there; is the hotplug daemon of domain ${vbd.backendDomid} running?`,
  });
}

/** Waits until a vbd of another backend domain is closed in XenStore, or does not exist there. */
export async function awaitRemoteClosed(
  store: Xenstore,
  vbd: VbdPath,
  options: { readonly timeoutMs: number; readonly signal?: AbortSignal | undefined },
): Promise<void> {
  await awaitBackend(store, vbd, options, {
    judge: (backend) =>
      !backend.exists || backend.text('state') === XenbusState.Closed ? true : undefined,
    late: (seconds) =>
      `${vbd.backend} is not closed after ${seconds} s: the guest has not let go of it`,
  });
}

async function awaitBackend<T>(
  store: Xenstore,
  vbd: VbdPath,
  options: { readonly timeoutMs: number; readonly signal?: AbortSignal | undefined },
  {
    judge,
    late,
  }: {
    readonly judge: (backend: VbdBackend) => T | undefined;
    readonly late: (seconds: number) => string;
  },
): Promise<T> {
  const { timeoutMs } = options;
  const { signal, late: limit } = limitTime(timeoutMs, options.signal);
  const evaluate = async (): Promise<T | undefined> =>
    judge(await readVbdBackend(store, vbd, { signal }));
  try {
    return await waitFor(store, [vbd.backend, vbd.error], evaluate, { signal });
  } catch (error) {
    if (error !== limit.reason) throw error;
    throw new VbdError(late(timeoutMs / 1000), { code: 'ETIMEDOUT', cause: error });
  }
}

function throwIfRemoteFailed(vbd: VbdPath, backend: VbdBackend): void {
  if (!backend.exists) {
    throw new VbdError(
      `there is no ${vbd.backend} in XenStore, or no more: has the toolstack removed it?`,
      { code: 'EGONE' },
    );
  }
  const status = backend.text('hotplug-status');
  if (status === 'error' || status === 'busy') {
    const reason = backend.text('hotplug-error') ?? `hotplug-status is ${status}`;
    throw new VbdError(
      `domain ${vbd.backendDomid} could not attach ${vbd.domid}/${vbd.devid}: ${reason}`,
      { code: status === 'busy' ? 'EBUSY' : 'EATTACH' },
    );
  }
  const state = backend.text('state');
  if (state !== XenbusState.Closing && state !== XenbusState.Closed) return;
  // Without such a state the error may be that of a predecessor.
  const reason = backend.kernelError ?? 'it is closing';
  throw new VbdError(`blkback of domain ${vbd.backendDomid} serves no ${vbd.backend}: ${reason}`, {
    code: backend.kernelError === undefined ? 'ESTATE' : 'EBLKBACK',
  });
}
