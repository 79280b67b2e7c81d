import { Service } from '../daemon/service.js';
import type { VbdEvent } from '../daemon/vbd-event.js';
import { openXenstore } from '../xenstore/open.js';
import type { Xenstore } from '../xenstore/xenstore.js';
import { ATTACH_CHECKS, type AttachOptions } from './attach.js';
import { CALLBACK, checkOptions, FILE_NAMES, withDefaults, YES_OR_NO } from './check-arguments.js';
import { DEFAULT_OPTIONS } from './defaults.js';

/** Options of `serve`. Only `signal` is required. */
export interface ServeOptions extends Omit<AttachOptions, 'signal' | 'onStep'> {
  /** The names of hotplug scripts. Their vbds are attached as soon as they appear. */
  readonly scripts?: readonly string[] | undefined;
  /** Attach every vbd, whatever its script. */
  readonly all?: boolean | undefined;
  /** Whether udev is to examine a device of the toolstack again once blkback has closed it. */
  readonly udevRefresh?: boolean | undefined;
  /** Ends the service. Attaches that are under way may finish within 6.5 s, or are rolled back. */
  readonly signal: AbortSignal;
  /** Called with each step of each vbd. */
  readonly onEvent?: ((event: VbdEvent) => void) | undefined;
  /** Called with a sentence for people when something happens to the service itself. */
  readonly onNotice?: ((text: string) => void) | undefined;
  /** Called once per connection, when every existing vbd has been looked at. */
  readonly onReady?: (() => void) | undefined;
  /** Connects to xenstored. The default is `openXenstore`. */
  readonly connect?: ((signal: AbortSignal) => Promise<Xenstore>) | undefined;
}

const { onStep: _onStep, ...CHECKS } = ATTACH_CHECKS;

/**
 * Attaches the vbds of this domain as they appear, and detaches the vbds that go, until the signal
 * is aborted. Connects again when xenstored has been restarted. Makes no control socket: hotplug
 * scripts find the result of an attach in XenStore. Throws `ArgumentError` for invalid options.
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
