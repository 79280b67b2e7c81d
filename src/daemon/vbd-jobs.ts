import { listIdleLayerOwners } from '../block/mapper/release-layer.js';
import type { AttachResult } from '../hotplug/attach.js';
import type { HotplugError } from '../hotplug/hotplug-error.js';
import { layerOwner } from '../hotplug/plan.js';
import { VBD_ROOT } from '../vbd/list-vbds.js';
import { listRecords, readRecordLeniently } from '../vbd/record.js';
import type { VbdBackend } from '../vbd/vbd-backend.js';
import { parseVbdPath, type VbdPath } from '../vbd/vbd-path.js';
import type { Xenstore } from '../xenstore/xenstore.js';
import type { JobOptions } from './attach-job.js';
import { isToldByEvent, VbdSteps } from './vbd-event.js';
import { VbdQueue } from './vbd-queue.js';

export type { JobOptions };

/** The jobs of the daemon over one XenStore connection, for any number of vbds side by side. */
export class VbdJobs {
  readonly #store: Xenstore;
  readonly #options: JobOptions;
  readonly #listIdleLayerOwners: () => Promise<string[]>;
  readonly #queues = new Map<string, VbdQueue>();

  constructor(store: Xenstore, options: JobOptions, listIdle = listIdleLayerOwners) {
    this.#store = store;
    this.#options = options;
    this.#listIdleLayerOwners = listIdle;
  }

  /** Lists the vbds that have a running or finished job, or a record that is to be cleaned up. */
  listKnown(): VbdPath[] {
    const records = listRecords(this.#options.runDirectory);
    return [...[...this.#queues.values()].map(({ vbd }) => vbd), ...records];
  }

  /** Lists the vbds whose idle mapper devices are to be cleaned up. Throws `SystemError`. */
  async listLayerOwners(): Promise<VbdPath[]> {
    return (await this.#listIdleLayerOwners())
      .map((owner) => parseVbdPath(`${VBD_ROOT}/${owner.replace('-', '/')}`))
      .filter((vbd) => vbd !== undefined);
  }

  /** Starts to attach a vbd that waits for a device, before any client has asked for it. */
  prepare(vbd: VbdPath, seen: VbdBackend): void {
    this.#queue(vbd).prepare(seen);
  }

  /** Attaches a vbd, or returns the result of an attach that is under way or done already. */
  add(vbd: VbdPath): Promise<AttachResult> {
    return this.#queue(vbd).add();
  }

  /** Tells whether an attach of the vbd is under way. */
  isRunning(vbd: VbdPath): boolean {
    return this.#queues.get(vbd.backend)?.isAttaching ?? false;
  }

  /** Tells whether an attach or a detach of the vbd is under way. */
  isBusy(vbd: VbdPath): boolean {
    return this.#queues.get(vbd.backend)?.isBusy ?? false;
  }

  /** Waits for the attach and the detach of the vbd that are under way. Never rejects. */
  async idle(vbd: VbdPath): Promise<void> {
    await this.#queues.get(vbd.backend)?.settled();
  }

  /** Forgets an attach that has failed: the toolstack has written again what it wants. */
  forgetFailure(vbd: VbdPath): void {
    this.#queues.get(vbd.backend)?.forgetFailure();
  }

  /** Tells whether the vbd was attached here, and no detach has begun since. */
  isAttached(vbd: VbdPath): boolean {
    return this.#queues.get(vbd.backend)?.isAttached ?? false;
  }

  /** Aborts an attach that is under way, and detaches the vbd. */
  async remove(vbd: VbdPath): Promise<void> {
    await this.#dismiss(vbd, (queue) => queue.remove());
  }

  /**
   * Cleans up after a vbd whose nodes are gone. Aborts the attach that is under way, and removes
   * what is left of the vbd. Never rejects: a failure of the clean-up becomes an event.
   */
  async onBackendRemoved(vbd: VbdPath): Promise<void> {
    try {
      const record = readRecordLeniently(this.#options.runDirectory, vbd);
      const isKnown = record !== undefined || this.#queues.has(vbd.backend);
      if (isKnown || (await this.#hasIdleLayer(vbd))) {
        await this.#dismiss(vbd, (queue) => queue.cleanUp());
      }
    } catch (error) {
      if (isToldByEvent(error)) return;
      new VbdSteps(vbd, 'remove', this.#options.onEvent).failed(error);
    }
  }

  async #hasIdleLayer(vbd: VbdPath): Promise<boolean> {
    return (await this.#listIdleLayerOwners()).includes(layerOwner(vbd));
  }

  /** Aborts every attach that is under way, and waits until all of them have rolled back. */
  async abort(reason: HotplugError): Promise<void> {
    for (const queue of this.#queues.values()) queue.abort(reason);
    await this.settled();
  }

  /** Ends every attach and detach that is under way, as the store is lost, and waits for that. */
  async abandon(reason: HotplugError): Promise<void> {
    for (const queue of this.#queues.values()) queue.abandon(reason);
    await this.settled();
  }

  /** Waits for all jobs that are under way. Never rejects. */
  async settled(): Promise<void> {
    await Promise.all([...this.#queues.values()].map((queue) => queue.settled()));
  }

  /** Removes a vbd, and forgets it if nothing else is under way. */
  async #dismiss(vbd: VbdPath, remove: (queue: VbdQueue) => Promise<void>): Promise<void> {
    const queue = this.#queue(vbd);
    try {
      await remove(queue);
    } finally {
      if (queue.isEmpty) this.#queues.delete(vbd.backend);
    }
  }

  #queue(vbd: VbdPath): VbdQueue {
    let queue = this.#queues.get(vbd.backend);
    if (queue === undefined) {
      queue = new VbdQueue(this.#store, vbd, this.#options);
      this.#queues.set(vbd.backend, queue);
    }
    return queue;
  }
}
