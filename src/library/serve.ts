import { Service } from '../daemon/service.js';
import type { VbdEvent } from '../daemon/vbd-event.js';
import { openXenstore } from '../xenstore/open.js';
import type { Xenstore } from '../xenstore/xenstore.js';
import { ATTACH_CHECKS, type AttachOptions } from './attach.js';
import { CALLBACK, checkOptions, FILE_NAMES, withDefaults, YES_OR_NO } from './check-arguments.js';
import { DEFAULT_OPTIONS } from './defaults.js';

/** What `serve` can be told; only `signal` is needed. */
export interface ServeOptions extends Omit<AttachOptions, 'signal' | 'onStep'> {
  /** Names of hotplug scripts whose vbds are attached as they appear. */
  readonly scripts?: readonly string[] | undefined;
  /** Attach every vbd, whatever its script. */
  readonly all?: boolean | undefined;
  /** Whether udev is to look at a toolstack's device again, once blkback has closed it. */
  readonly udevRefresh?: boolean | undefined;
  /** Ends it: attaches that are under way get 6.5 s to finish, and are rolled back after that. */
  readonly signal: AbortSignal;
  /** Told of each step of each vbd. */
  readonly onEvent?: ((event: VbdEvent) => void) | undefined;
  /** Told, for people, what happens to the service itself. */
  readonly onNotice?: ((text: string) => void) | undefined;
  /** Called once for every connection, when the vbds that there are have been looked at. */
  readonly onReady?: (() => void) | undefined;
  /** Connects to xenstored; `openXenstore` by default. */
  readonly connect?: ((signal: AbortSignal) => Promise<Xenstore>) | undefined;
}

const { onStep: _onStep, ...CHECKS } = ATTACH_CHECKS;

/**
 * Attaches the vbds of this domain as they appear, and detaches those that go, until the signal is aborted.
 * It connects again when xenstored has been restarted. It makes no control socket: hotplug scripts find what
 * it has attached in XenStore.
 */
export async function serve(options: ServeOptions): Promise<void> {
  checkOptions('serve', options, {
    ...CHECKS,
    scripts: FILE_NAMES,
    all: YES_OR_NO,
    udevRefresh: YES_OR_NO,
    onEvent: CALLBACK,
    onNotice: CALLBACK,
    onReady: CALLBACK,
    connect: CALLBACK,
  });
  const defaults = {
    ...DEFAULT_OPTIONS,
    scripts: ['block-diskseq'],
    all: false,
    onNotice: () => undefined,
    onReady: () => undefined,
    connect: (signal: AbortSignal) => openXenstore({ signal }),
  };
  const { scripts, all, onEvent, onNotice, onReady, connect, signal, ...jobs } = withDefaults(
    defaults,
    options,
  );
  const service = new Service({
    scripts,
    all,
    jobs: { ...jobs, onEvent },
    connect,
    onNotice,
    onReady,
  });
  await service.run(signal);
}
