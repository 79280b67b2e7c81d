import type { AttachResult } from '../hotplug/attach.js';
import { Deadline } from '../hotplug/deadline.js';
import { detach } from '../hotplug/detach.js';
import { HotplugError } from '../hotplug/hotplug-error.js';
import { readVbdBackend, type VbdBackend } from '../vbd/vbd-backend.js';
import type { VbdPath } from '../vbd/vbd-path.js';
import type { Xenstore } from '../xenstore/xenstore.js';
import { AttachJob, type JobOptions } from './attach-job.js';
import { awaitRemoval } from './await-removal.js';
import { isStillAttached } from './is-still-attached.js';
import { VbdSteps } from './vbd-event.js';

/**
 * The attaches and detaches of one vbd, one after another. A client that asks for an attach gets
 * the result of the one that the daemon began before the request, if there is one.
 */
export class VbdQueue {
  readonly vbd: VbdPath;
  readonly #store: Xenstore;
  readonly #options: JobOptions;
  #attach: AttachJob | undefined;
  /** The removal that is under way. A clean-up leaves a vbd alone that has been made anew. */
  #removal: { readonly isCleanUp: boolean; readonly done: Promise<void> } | undefined;
  /** Ends the removal that is under way, where the connection is lost. */
  readonly #abandoned = new AbortController();
  /** The number of adds and removes that a client waits for, also before they have begun. */
  #requests = 0;

  constructor(store: Xenstore, vbd: VbdPath, options: JobOptions) {
    this.#store = store;
    this.vbd = vbd;
    this.#options = options;
  }

  /** Tells whether an attach is under way. */
  get isAttaching(): boolean {
    return this.#attach?.isRunning ?? false;
  }

  /** Tells whether the last attach succeeded, and no detach has begun since. */
  get isAttached(): boolean {
    return this.#attach?.isAttached === true && this.#removal === undefined;
  }

  /** Tells whether an attach or a detach is under way. */
  get isBusy(): boolean {
    return this.isAttaching || this.#removal !== undefined;
  }

  /** Tells whether nothing is known of the vbd here, and nothing is under way. */
  get isEmpty(): boolean {
    return this.#attach === undefined && this.#removal === undefined && this.#requests === 0;
  }

  /**
   * Starts to attach a vbd that waits for a device, before any client has asked for it. An attach
   * that has failed is repeated only with other nodes.
   */
  prepare(seen: VbdBackend): void {
    if (this.isBusy || this.#attach?.hasFailedWith(seen)) return;
    // A vbd that was attached and waits again has been made anew under the same backend path.
    this.#start(seen, this.#options.timeoutMs);
  }

  /** Forgets an attach that has failed: the toolstack has written again what it wants. */
  forgetFailure(): void {
    if (this.#attach?.hasFailed) this.#attach = undefined;
  }

  /**
   * Attaches the vbd, or returns the result of an attach that is under way or done already. The wait
   * for a removal is part of the time that there is: the client waits no longer, and a disk that comes
   * later would be one that nobody expects.
   */
  async add(): Promise<AttachResult> {
    this.#requests++;
    using deadline = new Deadline(this.#options.timeoutMs);
    try {
      await this.#removedInTime(deadline);
      const job = this.#attach;
      if (job?.isRunning) return await this.#result(job, deadline);
      if (job?.isAttached && (await this.#isStillAttached(job))) return await job.result;
      // The cause of an earlier failure may have been removed, and an attached vbd may have been
      // made anew. Another request may have noticed the same and may have started an attach already.
      if (this.#attach === job) this.#attach = undefined;
      return await this.#attachAnew(deadline);
    } finally {
      this.#requests--;
    }
  }

  /** Aborts an attach that is under way, and detaches the vbd. */
  async remove(): Promise<void> {
    // A clean-up may have found the vbd made anew. This request is about the vbd that is there now.
    this.#requests++;
    try {
      while (this.#removal?.isCleanUp) await this.#removal.done.catch(() => undefined);
      return await this.#startRemoval(false);
    } finally {
      this.#requests--;
    }
  }

  /**
   * Aborts an attach that is under way, and undoes what is left of a vbd whose nodes are gone. Does
   * nothing to a vbd that has been made anew by then: another program may have attached it.
   */
  async cleanUp(): Promise<void> {
    return await this.#startRemoval(true);
  }

  /** Aborts an attach that is under way. The attach then rolls back. */
  abort(reason: HotplugError): void {
    this.#attach?.abort(reason);
  }

  /**
   * Ends what is under way: the store is lost, and the jobs over the next connection know nothing of
   * it. A removal that went on beside them could take away what they make.
   */
  abandon(reason: HotplugError): void {
    this.abort(reason);
    this.#abandoned.abort(reason);
  }

  /** Waits for the attach and the detach that are under way. Never rejects. */
  async settled(): Promise<void> {
    await Promise.allSettled([this.#attach?.result, this.#removal?.done]);
  }

  /**
   * Waits for a running attach, which began before the request. Starts another one if the vbd was
   * made anew meanwhile: then the result is about the predecessor of the requested vbd.
   */
  async #result(job: AttachJob, deadline: Deadline): Promise<AttachResult> {
    try {
      const result = await job.result;
      if (await this.#isStillAttached(job)) return result;
    } catch (error) {
      if (!job.wasOvertaken) throw error;
    }
    if (this.#attach === job) this.#attach = undefined;
    return await this.#attachAnew(deadline);
  }

  /** Starts an attach when no removal is under way, unless another request has started one. */
  async #attachAnew(deadline: Deadline): Promise<AttachResult> {
    while (this.#removal !== undefined) await this.#removedInTime(deadline);
    return await (this.#attach ?? this.#start(undefined, deadline.leftMs)).result;
  }

  /** Waits until no removal is under way. Throws `ETIMEDOUT`, of which the toolstack is told. */
  #removedInTime(deadline: Deadline): Promise<void> {
    return awaitRemoval(this.#removed(), this.#store, this.vbd, this.#options, deadline);
  }

  /**
   * Waits until no removal is under way. A remove that has waited for a clean-up begins when the
   * clean-up ends.
   */
  async #removed(): Promise<void> {
    while (this.#removal !== undefined) await this.#removal.done.catch(() => undefined);
  }

  #start(seen: VbdBackend | undefined, timeoutMs: number): AttachJob {
    const options = { ...this.#options, timeoutMs };
    const job = new AttachJob(this.#store, this.vbd, options, seen);
    this.#attach = job;
    return job;
  }

  #startRemoval(isCleanUp: boolean): Promise<void> {
    this.#removal ??= { isCleanUp, done: this.#remove(isCleanUp) };
    return this.#removal.done;
  }

  async #remove(onlyIfGone: boolean): Promise<void> {
    const steps = new VbdSteps(this.vbd, 'remove', this.#options.onEvent);
    const onStep = steps.step.bind(steps);
    try {
      const job = this.#attach;
      if (job?.isRunning) {
        // The news that the nodes are gone may be older than the attach.
        const nodes = ['frontend'] as const;
        if (onlyIfGone && (await readVbdBackend(this.#store, this.vbd, { nodes })).exists) return;
        job.abort(new HotplugError('the vbd is being removed', { code: 'ECANCELED' }));
      }
      await job?.result.catch(() => undefined);
      if (this.#attach === job) this.#attach = undefined;
      const { signal } = this.#abandoned;
      await detach(this.#store, this.vbd, { ...this.#options, onlyIfGone, onStep, signal });
    } catch (error) {
      steps.failed(error);
      throw error;
    } finally {
      this.#removal = undefined;
    }
  }

  /** Tells whether the result of a finished attach is still true of the vbd. */
  async #isStillAttached(job: AttachJob): Promise<boolean> {
    const { publication } = await job.result;
    return await isStillAttached(this.#store, this.vbd, this.#options.sysfs, publication);
  }
}
