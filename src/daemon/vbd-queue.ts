import { errorCode } from '../errors.js';
import { type AttachOptions, type AttachResult, attach } from '../hotplug/attach.js';
import { detach } from '../hotplug/detach.js';
import { HotplugError } from '../hotplug/hotplug-error.js';
import { readVbdBackend, type VbdBackend } from '../vbd/vbd-backend.js';
import type { VbdPath } from '../vbd/vbd-path.js';
import type { Xenstore } from '../xenstore/xenstore.js';
import { type VbdListener, VbdSteps } from './vbd-event.js';

export type JobOptions = Omit<AttachOptions, 'signal' | 'seen' | 'onStep'> & {
  readonly udevRefresh?: boolean | undefined;
  readonly onEvent?: VbdListener | undefined;
};

/** An attach that is under way, or what has come of it. */
interface AttachJob {
  readonly controller: AbortController;
  /** Settles with the attach; never unhandled. */
  readonly result: Promise<AttachResult>;
  /** Nobody had asked for it when it began. */
  readonly isUnasked: boolean;
  outcome: 'running' | 'attached' | 'failed';
}

/** What ends an attach because the vbd was taken away, or made anew, under it. */
const MADE_ANEW: readonly string[] = ['EGONE', 'ERACE', 'ESTATE', 'EBACKEND'];

/**
 * What the daemon does for one vbd, one thing after another. What was prepared before anybody asked is
 * handed to those who ask.
 */
export class VbdQueue {
  readonly vbd: VbdPath;
  readonly #store: Xenstore;
  readonly #options: JobOptions;
  #attach: AttachJob | undefined;
  #removal: Promise<void> | undefined;

  constructor(store: Xenstore, vbd: VbdPath, options: JobOptions) {
    this.#store = store;
    this.vbd = vbd;
    this.#options = options;
  }

  /** Whether an attach is under way. */
  get isAttaching(): boolean {
    return this.#attach?.outcome === 'running';
  }

  /** Whether the last attach was a success, and nothing has been detached since. */
  get isAttached(): boolean {
    return this.#attach?.outcome === 'attached' && this.#removal === undefined;
  }

  /** Whether there is nothing to be known of the vbd here, and nothing under way. */
  get isEmpty(): boolean {
    return this.#attach === undefined && this.#removal === undefined;
  }

  /** Starts to attach a vbd that waits for a device, and that nobody has asked for yet. */
  prepare(seen: VbdBackend): void {
    // One that was attached and waits again has been made anew under the same path.
    if (this.#attach?.outcome === 'attached') this.#attach = undefined;
    if (this.#attach === undefined && this.#removal === undefined) this.#start(seen);
  }

  /** Attaches the vbd, or gives the result of the attach that is under way or done already. */
  async add(): Promise<AttachResult> {
    await this.#removal?.catch(() => undefined);
    const job = this.#attach;
    if (job?.outcome === 'running') return await this.#result(job);
    if (job?.outcome === 'attached' && (await this.#isStill(job))) return await job.result;
    // What failed before somebody asked may have been mended, and what was attached have been made
    // anew. Another request may have seen that, too, and have started already.
    if (this.#attach === job) this.#attach = undefined;
    return await (this.#attach ?? this.#start()).result;
  }

  /** Ends an attach that is under way, and detaches the vbd. */
  async remove(): Promise<void> {
    this.#removal ??= this.#remove().finally(() => {
      this.#removal = undefined;
    });
    return await this.#removal;
  }

  /** Ends an attach that is under way, which rolls it back. */
  abort(reason: HotplugError): void {
    this.#attach?.controller.abort(reason);
  }

  /** Waits for what is under way. */
  async settled(): Promise<void> {
    await Promise.allSettled([this.#attach?.result, this.#removal]);
  }

  /** What began unasked may have been about the vbd that was there before the one that is asked for. */
  async #result(job: AttachJob): Promise<AttachResult> {
    try {
      return await job.result;
    } catch (error) {
      if (!job.isUnasked || !MADE_ANEW.includes(errorCode(error) ?? '')) throw error;
      if (this.#attach === job) this.#attach = undefined;
      return await (this.#attach ?? this.#start()).result;
    }
  }

  #start(seen?: VbdBackend): AttachJob {
    const controller = new AbortController();
    const steps = new VbdSteps(this.vbd, 'add', this.#options.onEvent);
    const result = attach(this.#store, this.vbd, {
      ...this.#options,
      signal: controller.signal,
      seen,
      onStep: steps.step.bind(steps),
    });
    const isUnasked = seen !== undefined;
    const job: AttachJob = { controller, result, isUnasked, outcome: 'running' };
    result.then(
      (attached) => {
        job.outcome = 'attached';
        steps.attached(attached);
      },
      (error) => {
        job.outcome = 'failed';
        steps.failed(error);
      },
    );
    this.#attach = job;
    return job;
  }

  async #remove(): Promise<void> {
    const job = this.#attach;
    if (job?.outcome === 'running') {
      job.controller.abort(new HotplugError('the vbd is being removed', { code: 'ECANCELED' }));
    }
    await job?.result.catch(() => undefined);
    if (this.#attach === job) this.#attach = undefined;
    const steps = new VbdSteps(this.vbd, 'remove', this.#options.onEvent);
    const onStep = steps.step.bind(steps);
    try {
      await detach(this.#store, this.vbd, { ...this.#options, onStep });
    } catch (error) {
      steps.failed(error);
      throw error;
    }
  }

  /** The answer of a finished job is about an instance; the same path may be another by now. */
  async #isStill(job: AttachJob): Promise<boolean> {
    const { publication } = await job.result;
    const nodes = ['params', 'physical-device', 'diskseq', 'hotplug-status'] as const;
    const backend = await readVbdBackend(this.#store, this.vbd, { nodes });
    // A medium may have been put into the drive.
    if (publication === undefined && backend.bytes('params')?.length !== 0) return false;
    return (
      backend.text('physical-device') === publication?.['physical-device'] &&
      backend.text('diskseq') === publication?.diskseq &&
      backend.text('hotplug-status') === 'connected'
    );
  }
}
