import { listIdleLayerOwners } from '../block/mapper/release-layer.js';
import { type AttachOptions, type AttachResult, attach } from '../hotplug/attach.js';
import { detach } from '../hotplug/detach.js';
import { HotplugError } from '../hotplug/hotplug-error.js';
import { layerOwner } from '../hotplug/plan.js';
import { VBD_ROOT } from '../vbd/list-vbds.js';
import { listRecords, readRecord } from '../vbd/record.js';
import { readVbdBackend, type VbdBackend } from '../vbd/vbd-backend.js';
import { parseVbdPath, type VbdPath } from '../vbd/vbd-path.js';
import type { Xenstore } from '../xenstore/xenstore.js';
import { type VbdListener, VbdSteps } from './vbd-event.js';

export type JobOptions = Omit<AttachOptions, 'signal' | 'seen' | 'onStep'> & {
  readonly onEvent?: VbdListener | undefined;
};

/** What is under way, or has come out, for one vbd. */
interface Job {
  readonly vbd: VbdPath;
  readonly controller: AbortController;
  /** Settles with the attach; never unhandled. */
  readonly result: Promise<AttachResult>;
  outcome: 'running' | 'attached' | 'failed';
}

/**
 * The attaches and detaches of one XenStore connection: one at a time for each vbd, any number side by
 * side. What was prepared before anybody asked is handed to those who ask.
 */
export class VbdJobs {
  readonly #store: Xenstore;
  readonly #options: JobOptions;
  readonly #jobs = new Map<string, Job>();
  readonly #removals = new Map<string, Promise<void>>();

  constructor(store: Xenstore, options: JobOptions) {
    this.#store = store;
    this.#options = options;
  }

  /**
   * Backend paths of vbds, of one guest or all, that have a job, running or done, or of which something
   * is to be undone.
   */
  async listKnown(domid?: number): Promise<string[]> {
    const records = await listRecords(this.#options.runDirectory);
    const layers = (await listIdleLayerOwners())
      .map((owner) => parseVbdPath(`${VBD_ROOT}/${owner.replace('-', '/')}`))
      .filter((vbd) => vbd !== undefined);
    const known = [...[...this.#jobs.values()].map(({ vbd }) => vbd), ...records, ...layers];
    const asked = domid === undefined ? known : known.filter((vbd) => vbd.domid === domid);
    return asked.map(({ backend }) => backend);
  }

  /** Starts to attach a vbd that waits for a device, and that nobody has asked for yet. */
  prepare(vbd: VbdPath, seen: VbdBackend): void {
    const job = this.#jobs.get(vbd.backend);
    // One that was attached and waits again has been made anew under the same path.
    if (job?.outcome === 'attached') this.#forget(vbd, job);
    else if (job || this.#removals.has(vbd.backend)) return;
    this.#start(vbd, seen);
  }

  /** Attaches a vbd, or gives the result of the attach that is under way or done already. */
  async add(vbd: VbdPath): Promise<AttachResult> {
    await this.#removals.get(vbd.backend)?.catch(() => undefined);
    const job = this.#jobs.get(vbd.backend);
    if (job?.outcome === 'running') return await job.result;
    if (job?.outcome === 'attached' && (await this.#isStill(vbd, job))) return await job.result;
    // What failed before somebody asked may have been mended, and what was attached have been made
    // anew. Another request may have seen that, too, and have started already.
    if (job) this.#forget(vbd, job);
    return await (this.#jobs.get(vbd.backend) ?? this.#start(vbd)).result;
  }

  /** Whether an attach of the vbd is under way. */
  isRunning(path: string): boolean {
    return this.#jobs.get(path)?.outcome === 'running';
  }

  /** Ends an attach that is under way, and detaches the vbd. */
  async remove(vbd: VbdPath): Promise<void> {
    const underWay = this.#removals.get(vbd.backend);
    if (underWay) return await underWay;
    const removal = this.#remove(vbd).finally(() => this.#removals.delete(vbd.backend));
    this.#removals.set(vbd.backend, removal);
    return await removal;
  }

  /** The nodes of a vbd are gone: what is under way ends, what is left of it is cleaned up. */
  async gone(vbd: VbdPath): Promise<void> {
    const kept = await readRecord(this.#options.runDirectory, vbd).catch(() => undefined);
    const idle = (await listIdleLayerOwners()).includes(layerOwner(vbd));
    if (kept || idle || this.#jobs.has(vbd.backend)) await this.remove(vbd).catch(() => undefined);
  }

  /** Ends everything under way, which rolls it back, and waits for that. */
  async abort(reason: HotplugError): Promise<void> {
    for (const { controller } of this.#jobs.values()) controller.abort(reason);
    await this.settled();
  }

  /** Waits for what is under way. */
  async settled(): Promise<void> {
    const jobs = [...this.#jobs.values()].map(({ result }) => result);
    await Promise.allSettled([...jobs, ...this.#removals.values()]);
  }

  #start(vbd: VbdPath, seen?: VbdBackend): Job {
    const controller = new AbortController();
    const steps = new VbdSteps(vbd, 'add', this.#options.onEvent);
    const result = attach(this.#store, vbd, {
      ...this.#options,
      signal: controller.signal,
      seen,
      onStep: steps.step.bind(steps),
    });
    const job: Job = { vbd, controller, result, outcome: 'running' };
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
    this.#jobs.set(vbd.backend, job);
    return job;
  }

  async #remove(vbd: VbdPath): Promise<void> {
    const job = this.#jobs.get(vbd.backend);
    if (job) {
      job.controller.abort(new HotplugError('the vbd is being removed', { code: 'ECANCELED' }));
      await job.result.catch(() => undefined);
      this.#forget(vbd, job);
    }
    const steps = new VbdSteps(vbd, 'remove', this.#options.onEvent);
    const onStep = steps.step.bind(steps);
    try {
      await detach(this.#store, vbd, { ...this.#options, onStep });
    } catch (error) {
      steps.failed(error);
      throw error;
    }
  }

  /** The answer of a finished job is about an instance; the same path may be another by now. */
  async #isStill(vbd: VbdPath, job: Job): Promise<boolean> {
    const { publication } = await job.result;
    const nodes = ['physical-device', 'diskseq', 'hotplug-status'] as const;
    const backend = await readVbdBackend(this.#store, vbd, { nodes });
    return (
      backend.text('physical-device') === publication['physical-device'] &&
      backend.text('diskseq') === publication.diskseq &&
      backend.text('hotplug-status') === 'connected'
    );
  }

  #forget(vbd: VbdPath, job: Job): void {
    if (this.#jobs.get(vbd.backend) === job) this.#jobs.delete(vbd.backend);
  }
}
