import { listIdleLayerOwners } from '../block/mapper/release-layer.js';
import type { AttachResult } from '../hotplug/attach.js';
import type { HotplugError } from '../hotplug/hotplug-error.js';
import { layerOwner } from '../hotplug/plan.js';
import { VBD_ROOT } from '../vbd/list-vbds.js';
import { listRecords, readRecordLeniently } from '../vbd/record.js';
import type { VbdBackend } from '../vbd/vbd-backend.js';
import { parseVbdPath, type VbdPath } from '../vbd/vbd-path.js';
import type { Xenstore } from '../xenstore/xenstore.js';
import { type JobOptions, VbdQueue } from './vbd-queue.js';

export type { JobOptions };

/** What the daemon does over one XenStore connection: any number of vbds side by side. */
export class VbdJobs {
  readonly #store: Xenstore;
  readonly #options: JobOptions;
  readonly #queues = new Map<string, VbdQueue>();

  constructor(store: Xenstore, options: JobOptions) {
    this.#store = store;
    this.#options = options;
  }

  /**
   * Vbds, of one guest or all, that have a job, running or done, or of which something is to be undone.
   */
  async listKnown(domid?: number): Promise<VbdPath[]> {
    const records = listRecords(this.#options.runDirectory);
    const layers = (await listIdleLayerOwners())
      .map((owner) => parseVbdPath(`${VBD_ROOT}/${owner.replace('-', '/')}`))
      .filter((vbd) => vbd !== undefined);
    const known = [...[...this.#queues.values()].map(({ vbd }) => vbd), ...records, ...layers];
    return domid === undefined ? known : known.filter((vbd) => vbd.domid === domid);
  }

  /** Starts to attach a vbd that waits for a device, and that nobody has asked for yet. */
  prepare(vbd: VbdPath, seen: VbdBackend): void {
    this.#queue(vbd).prepare(seen);
  }

  /** Attaches a vbd, or gives the result of the attach that is under way or done already. */
  add(vbd: VbdPath): Promise<AttachResult> {
    return this.#queue(vbd).add();
  }

  /** Whether an attach of the vbd is under way. */
  isRunning(vbd: VbdPath): boolean {
    return this.#queues.get(vbd.backend)?.isAttaching ?? false;
  }

  /** Whether the vbd was attached here, and not detached since. */
  isAttached(vbd: VbdPath): boolean {
    return this.#queues.get(vbd.backend)?.isAttached ?? false;
  }

  /** Ends an attach that is under way, and detaches the vbd. */
  async remove(vbd: VbdPath): Promise<void> {
    const queue = this.#queue(vbd);
    try {
      await queue.remove();
    } finally {
      if (queue.isEmpty) this.#queues.delete(vbd.backend);
    }
  }

  /**
   * The nodes of a vbd are gone: what is under way ends, what is left of it is cleaned up. Never rejects:
   * what could not be cleaned up is told as an event.
   */
  async onBackendRemoved(vbd: VbdPath): Promise<void> {
    try {
      const record = readRecordLeniently(this.#options.runDirectory, vbd);
      const isLayered = (await listIdleLayerOwners()).includes(layerOwner(vbd));
      if (record || isLayered || this.#queues.has(vbd.backend)) await this.remove(vbd);
    } catch {
      // The removal has told it.
    }
  }

  /** Ends everything under way, which rolls it back, and waits for that. */
  async abort(reason: HotplugError): Promise<void> {
    for (const queue of this.#queues.values()) queue.abort(reason);
    await this.settled();
  }

  /** Waits for what is under way. */
  async settled(): Promise<void> {
    await Promise.all([...this.#queues.values()].map((queue) => queue.settled()));
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
