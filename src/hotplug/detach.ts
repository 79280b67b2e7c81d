import { errorCode } from '../errors.js';
import { formatDevnumHex } from '../linux/devnum.js';
import { runSteps, type Step } from '../util/steps.js';
import { requireOwnDomain } from '../vbd/own-domain.js';
import { isMadeAnew } from '../vbd/vbd-directory.js';
import type { VbdPath } from '../vbd/vbd-path.js';
import type { Xenstore } from '../xenstore/xenstore.js';
import { Deadline } from './deadline.js';
import { detachSteps } from './detach-steps.js';
import { collectDetachment, type Detachment, describeDetachment } from './detachment.js';
import { HotplugError } from './hotplug-error.js';
import { reportFailure } from './report-to-toolstack.js';

/** The options of a detach. */
export interface DetachOptions {
  /** The time for everything; milliseconds. */
  readonly timeoutMs: number;
  /** The root of sysfs, below which the xen-backend bus is looked for. */
  readonly sysfs: string;
  readonly runDirectory: string;
  /** Whether udev is to look at a device of the toolstack's again, once blkback has closed it. */
  readonly udevRefresh?: boolean | undefined;
  /**
   * Whether only what a vbd has left is to be undone. If its nodes exist again, it has been made
   * anew, and the detach does nothing: its device is that of the new vbd.
   */
  readonly onlyIfGone?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onStep?: ((step: DetachStep, detail: string) => void) | undefined;
  /**
   * Called when everything about the vbd is known and nothing has been changed. It throws to leave
   * the vbd as it is, and then the toolstack is told nothing.
   */
  readonly confirm?: ((found: Detachment) => Promise<void>) | undefined;
}

/** The steps of a detach, in their order. Steps that have nothing to tell are not reported. */
export type DetachStep =
  | 'planned'
  | 'withdrawn'
  | 'unbound'
  | 'closed'
  | 'released'
  | 'refreshed'
  | 'removed';

/**
 * Detaches a vbd: undoes what the kernel does not undo by itself, waits until blkback has closed
 * the device, and removes our nodes. Works when the backend directory is gone already, and when
 * nothing was attached. Throws `EONLINE` while the vbd is in use, and `EHELD` or `ETIMEDOUT` at the
 * deadline.
 */
export async function detach(store: Xenstore, vbd: VbdPath, options: DetachOptions): Promise<void> {
  using deadline = new Deadline(options.timeoutMs, options.signal);
  await requireOwnDomain(store, vbd, { signal: deadline.signal });
  /** Whether the toolstack is told of a failure. */
  let isReported = options.confirm === undefined;
  let confirm: (() => boolean) | undefined;
  try {
    const detachment = await collectDetachment(store, vbd, options, { signal: deadline.signal });
    await using directory = detachment.directory;
    await using _mark = { [Symbol.asyncDispose]: async () => detachment.mark?.close() };
    // A vbd that was made anew must not get the error of the one before in its nodes.
    confirm = () => !isMadeAnew(options.sysfs, vbd.sysfsName, directory);
    const { exists } = detachment.backend;
    if (options.onlyIfGone && (exists || detachment.wasMadeAnew)) return;
    // If the nodes were gone, nodes that exist later belong to a vbd that was made anew.
    isReported &&= exists;
    options.onStep?.('planned', describeDetachment(detachment));
    requireOffline(detachment);
    await options.confirm?.(detachment);
    isReported = exists;
    await runDetach(detachSteps(store, detachment, options, deadline.signal), options);
  } catch (error) {
    // A vbd that is in use is in order, and its nodes are to go on saying so.
    if (errorCode(error) !== 'EONLINE' && isReported) {
      const signal = deadline.rollback();
      await reportFailure(store, vbd, error, { signal, confirm }).catch(() => undefined);
    }
    throw error;
  }
}

async function runDetach(
  steps: readonly Step<DetachStep>[],
  { onStep }: DetachOptions,
): Promise<void> {
  await runSteps(steps, {
    onStart: () => undefined,
    onDone: ({ name }, detail) => {
      if (detail !== '') onStep?.(name, detail);
    },
  });
}

/**
 * Throws `EONLINE` for a vbd that is online and whose device blkback has open. A guest that reboots
 * closes its frontend too; with `online` 1, its disk stays where it is.
 */
function requireOffline({ vbd, backend, open }: Detachment): void {
  if (backend.text('online') !== '1' || open === undefined) return;
  throw new HotplugError(
    `${vbd.backend} is online (state ${backend.text('state')}) and blkback has device ${formatDevnumHex(open)} (hex) open: detach it with the toolstack first (xl block-detach)`,
    { code: 'EONLINE' },
  );
}
