import { type Devnum, formatDevnumHex, sameDevnum } from '../linux/devnum.js';
import { quote } from '../util/one-line.js';
import { pollEagerly, pollPatiently } from '../util/poll.js';
import { waitFor } from '../xenstore/wait-for.js';
import type { Xenstore } from '../xenstore/xenstore.js';
import { readVbdBackend, type VbdBackend } from './vbd-backend.js';
import { VbdError } from './vbd-error.js';
import type { VbdInstance } from './vbd-instance.js';
import type { VbdPath } from './vbd-path.js';
import { describeXenbusState, XenbusState } from './xenbus-state.js';

/**
 * The way in which it is known that blkback has opened the device: by its `opened` node or by
 * sysfs.
 */
export type OpenedBy = 'key' | 'sysfs';

/** The nodes that `throwIfRefused` looks at. */
const REFUSAL_NODES = ['frontend', 'state', 'error'] as const;

/** Throws `EOPEN` if blkback already has a device open for an instance that is about to get one. */
export function requireDeviceClosed({ vbd, directory }: VbdInstance): void {
  const open = directory.readOpenDevice();
  if (open === undefined) return;
  throw new VbdError(
    `blkback still has device ${formatDevnumHex(open)} (hex) open for ${vbd.sysfsName}, although ${vbd.backend} names none`,
    { code: 'EOPEN' },
  );
}

/**
 * Waits until blkback has opened `devnum` for this instance of a vbd. sysfs proves the open. Where
 * blkback also keeps an `opened` node, both have to confirm it. Throws `EBLKBACK` when blkback
 * reports an error or has another device open, `ESTATE` when blkback closes the vbd, `EGONE` when
 * the instance goes away, also if the vbd is made anew at once, and the signal's reason.
 */
export async function awaitDeviceOpened(
  store: Xenstore,
  instance: VbdInstance,
  devnum: Devnum,
  signal: AbortSignal,
): Promise<OpenedBy> {
  if (instance.keepsOpenedNode) return await waitStore(store, instance, devnum, signal);
  const { vbd, directory } = instance;
  const ask = async (): Promise<Devnum | undefined> => {
    const open = directory.readOpenDevice();
    if (open !== undefined || directory.isCurrent()) return open;
    throwIfRefused(vbd, await readVbdBackend(store, vbd, { nodes: REFUSAL_NODES, signal }));
    throw removedEarly(vbd);
  };
  // XenStore is not asked yet, because blkback has requests of its own to XenStore now.
  const early = await pollEagerly(signal, ask);
  if (early !== undefined) return judge(vbd, early, devnum, 'sysfs');
  // The source that settles first ends the other one.
  const done = new AbortController();
  const either = AbortSignal.any([signal, done.signal]);
  const sources = [
    waitStore(store, instance, devnum, either),
    pollPatiently(either, ask).then((open) => judge(vbd, open, devnum, 'sysfs')),
  ];
  try {
    return await Promise.race(sources);
  } finally {
    done.abort();
    await Promise.allSettled(sources);
  }
}

function waitStore(
  store: Xenstore,
  { vbd, directory, keepsOpenedNode }: VbdInstance,
  devnum: Devnum,
  signal: AbortSignal,
): Promise<OpenedBy> {
  const nodes = [...REFUSAL_NODES, 'opened'] as const;
  // A removal of the directory causes an event for a watch on each node in the directory.
  const paths = [`${vbd.backend}/state`, `${vbd.backend}/opened`, vbd.error];
  return waitFor(
    store,
    paths,
    async () => {
      const backend = await readVbdBackend(store, vbd, { nodes, signal });
      if (keepsOpenedNode && backend.text('opened') === '1') {
        // Without a device in sysfs, `opened` is the answer to an earlier publication.
        const open = directory.readOpenDevice();
        if (open !== undefined) return judge(vbd, open, devnum, 'key');
      }
      throwIfRefused(vbd, backend);
      // The nodes may be those of a vbd that was made anew under the same path.
      if (!directory.isCurrent()) throw removedEarly(vbd);
      return undefined;
    },
    { signal },
  );
}

/** Throws `EBLKBACK` unless the device that blkback has open is the one that was published. */
function judge(vbd: VbdPath, open: Devnum, expected: Devnum, by: OpenedBy): OpenedBy {
  if (sameDevnum(open, expected)) return by;
  throw new VbdError(
    `blkback has device ${formatDevnumHex(open)} (hex) open for ${vbd.sysfsName}, not ${formatDevnumHex(expected)}`,
    { code: 'EBLKBACK' },
  );
}

/**
 * Throws `EGONE` if the backend is gone, and `EBLKBACK` or `ESTATE` if blkback has said or shown
 * that it will not open the device.
 */
export function throwIfRefused(vbd: VbdPath, backend: VbdBackend): void {
  if (!backend.exists) throw removedEarly(vbd);
  if (backend.kernelError !== undefined) {
    const what = backend.hasFailedToOpen ? 'could not open the device' : 'has given up the vbd';
    throw new VbdError(`blkback ${what}: ${quote(backend.kernelError)} (${vbd.error})`, {
      code: 'EBLKBACK',
    });
  }
  throwIfClosing(vbd, backend);
}

function removedEarly(vbd: VbdPath): VbdError {
  return new VbdError(`${vbd.backend} was removed before blkback opened the device`, {
    code: 'EGONE',
  });
}

/** Throws `ESTATE` when blkback is in state Closing or Closed. */
export function throwIfClosing(vbd: VbdPath, backend: VbdBackend): void {
  const state = backend.text('state');
  if (state !== XenbusState.Closing && state !== XenbusState.Closed) return;
  throw new VbdError(
    `${vbd.backend} is in state ${describeXenbusState(state)}: blkback takes no device there`,
    { code: 'ESTATE' },
  );
}
