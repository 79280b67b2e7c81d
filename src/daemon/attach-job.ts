import { errorCode } from '../errors.js';
import { type AttachOptions, type AttachResult, attach } from '../hotplug/attach.js';
import type { VbdBackend } from '../vbd/vbd-backend.js';
import type { VbdPath } from '../vbd/vbd-path.js';
import type { Xenstore } from '../xenstore/xenstore.js';
import { type VbdListener, VbdSteps } from './vbd-event.js';

/** Options of the attaches and detaches of a daemon. */
export type JobOptions = Omit<AttachOptions, 'signal' | 'seen' | 'onSeen' | 'onStep'> & {
  readonly udevRefresh?: boolean | undefined;
  readonly onEvent?: VbdListener | undefined;
};

/** Codes of an attach that failed because the vbd was removed, or made anew, meanwhile. */
const MADE_ANEW: readonly string[] = ['EGONE', 'ERACE', 'ESTATE', 'EBACKEND'];
/** The nodes with which a toolstack says what a vbd is to get. */
const WISH_NODES = ['params', 'mode'] as const;

/** An attach that is under way or finished. It begins at once. */
export class AttachJob {
  /** Settles with the attach. A handler is always set, so a rejection is never unhandled. */
  readonly result: Promise<AttachResult>;
  readonly #controller = new AbortController();
  #outcome: 'running' | 'attached' | 'failed' = 'running';
  /** The nodes that the attach went by, once it has read them. */
  #used: VbdBackend | undefined;
  #error: unknown;

  /** @param seen the nodes that made the daemon begin, where no client has asked for the attach. */
  constructor(store: Xenstore, vbd: VbdPath, options: JobOptions, seen: VbdBackend | undefined) {
    const steps = new VbdSteps(vbd, 'add', options.onEvent);
    this.result = attach(store, vbd, {
      ...options,
      signal: this.#controller.signal,
      seen,
      onSeen: (backend) => {
        this.#used = backend;
      },
      onStep: steps.step.bind(steps),
    });
    this.result.then(
      (attached) => {
        this.#outcome = 'attached';
        steps.attached(attached);
      },
      (error: unknown) => {
        this.#outcome = 'failed';
        this.#error = error;
        steps.failed(error);
      },
    );
  }

  get isRunning(): boolean {
    return this.#outcome === 'running';
  }

  get isAttached(): boolean {
    return this.#outcome === 'attached';
  }

  get hasFailed(): boolean {
    return this.#outcome === 'failed';
  }

  /**
   * Tells whether the attach failed because the vbd was removed, or made anew, meanwhile. Its
   * failure says nothing of the vbd that is there now.
   */
  get wasOvertaken(): boolean {
    return this.hasFailed && MADE_ANEW.includes(errorCode(this.#error) ?? '');
  }

  /** Tells whether the attach failed with what these nodes ask for, so that it would fail again. */
  hasFailedWith(seen: VbdBackend): boolean {
    if (!this.hasFailed || this.wasOvertaken) return false;
    const used = this.#used;
    return WISH_NODES.every((node) => {
      const [before, now] = [used?.bytes(node), seen.bytes(node)];
      return before !== undefined && now !== undefined && before.equals(now);
    });
  }

  /** Aborts the attach if it is under way. The attach then rolls back. */
  abort(reason: Error): void {
    this.#controller.abort(reason);
  }
}
