import type { BlockDevice } from '../block/block-device.js';
import { openExport } from '../block/open-export.js';
import { errorMessage } from '../errors.js';
import { removeMapper } from '../linux/device-mapper.js';
import { formatDevnum } from '../linux/devnum.js';
import { claimDevice } from '../sharing/claim.js';
import { awaitInitWait } from '../vbd/init-wait.js';
import { type OpenedBy, OpenedWatch } from '../vbd/opened.js';
import { type Publication, publish, toPublication, unpublish } from '../vbd/publish.js';
import { type PublishedDevice, readPublished } from '../vbd/published-device.js';
import { readVbdBackend, type VbdBackend } from '../vbd/vbd-backend.js';
import type { VbdPath } from '../vbd/vbd-path.js';
import type { Xenstore } from '../xenstore/xenstore.js';
import type { AttachOptions, AttachResult, AttachStep } from './attach-options.js';
import { Deadline } from './deadline.js';
import { HotplugError } from './hotplug-error.js';
import { keep } from './keep.js';
import { openPublished } from './open-published.js';
import { type AttachPlan, planAttach } from './plan.js';
import { reportConnected, reportFailure } from './report.js';

export type { AttachOptions, AttachResult, AttachStep };

/**
 * Attaches a vbd: opens the device that `params` names, proves it, names it to blkback, holds it
 * until blkback has opened it too, and lets go. When it throws, what it made is gone again, except
 * what blkback has open by then: that goes when the toolstack removes the vbd. `hotplug-error` says
 * why, as far as XenStore can be reached in time.
 */
export async function attach(
  store: Xenstore,
  vbd: VbdPath,
  options: AttachOptions,
): Promise<AttachResult> {
  using deadline = new Deadline(options.timeoutMs, options.signal);
  const attachment = new Attachment(store, vbd, options, deadline);
  try {
    return await attachment.run();
  } catch (cause) {
    const error = attachment.explain(cause);
    // The first error is the one to tell; that it could not be reported would only hide it.
    await reportFailure(store, vbd, error, { signal: deadline.rollback() }).catch(() => undefined);
    throw error;
  }
}

class Attachment {
  readonly #store: Xenstore;
  readonly #vbd: VbdPath;
  readonly #options: AttachOptions;
  readonly #deadline: Deadline;
  readonly #signal: AbortSignal;
  #waitingFor = 'XenStore to answer';
  readonly #warnings: string[] = [];

  constructor(store: Xenstore, vbd: VbdPath, options: AttachOptions, deadline: Deadline) {
    this.#store = store;
    this.#vbd = vbd;
    this.#options = options;
    this.#deadline = deadline;
    this.#signal = deadline.signal;
  }

  /**
   * Attaches once, or twice where somebody else has published in between: two adds of one vbd at
   * once are not an error, and the second one finds what the first has published.
   */
  async run(): Promise<AttachResult> {
    try {
      return await this.#attach(this.#options.seen ?? (await this.#readBackend()));
    } catch (error) {
      // Seen at the publication, or by what blkback had opened by then.
      const raced = error instanceof HotplugError && ['ERACE', 'EOPEN'].includes(error.code);
      if (raced) return await this.#attach(await this.#readBackend());
      throw error;
    }
  }

  #readBackend(): Promise<VbdBackend> {
    return readVbdBackend(this.#store, this.#vbd, { signal: this.#signal });
  }

  async #attach(backend: VbdBackend): Promise<AttachResult> {
    const plan = planAttach(this.#vbd, backend);
    this.#step('planned', plan.target.keys.join(', '));
    const published = readPublished(this.#vbd, backend);
    // blkback gets ready while the device is being opened.
    const over = new AbortController();
    const signal = AbortSignal.any([this.#signal, over.signal]);
    const ready = published ? undefined : awaitInitWait(this.#store, this.#vbd, signal);
    // It may fail before anybody waits for it.
    ready?.catch(() => undefined);
    try {
      return await this.#attachTo(backend, plan, published, ready);
    } finally {
      over.abort();
    }
  }

  async #attachTo(
    backend: VbdBackend,
    plan: AttachPlan,
    published: PublishedDevice | undefined,
    ready: Promise<VbdBackend> | undefined,
  ): Promise<AttachResult> {
    this.#waitingFor = 'the device to open';
    await using device = published
      ? await openPublished(this.#vbd, published, plan.request, this.#signal)
      : await openExport(plan.request, this.#signal);
    this.#step('opened', describeDevice(device));
    const publication = {
      ...toPublication(device, this.#options.uapi),
      // It may have been published in the other dialect.
      ...(published && { 'physical-device': backend.text('physical-device') ?? '' }),
    };
    const openedBy = ready
      ? await this.#publish(device, backend, ready, publication, plan)
      : await this.#adopt(device, backend, publication, plan);
    await device.close();
    this.#step('released', device.path);
    return {
      backend: this.#vbd.backend,
      publication,
      openedBy,
      already: published !== undefined,
      warnings: this.#warnings,
    };
  }

  async #publish(
    device: BlockDevice,
    seen: VbdBackend,
    ready: Promise<VbdBackend>,
    publication: Publication,
    plan: AttachPlan,
  ): Promise<OpenedBy> {
    this.#waitingFor = `${this.#vbd.backend}/state to become 2 (InitWait): is xen-blkback loaded?`;
    const inWait = await ready;
    this.#step('ready', 'state 2 (InitWait)');
    await using opened = await this.#openedWatch(inWait);
    await opened.requireClosed();
    await device.verify();
    await this.#publishClaimed(device, seen, publication, plan);
    this.#step('published', publication['physical-device']);
    try {
      return await this.#complete(opened, device, publication, plan);
    } catch (error) {
      const signal = this.#deadline.rollback();
      await unpublish(this.#store, this.#vbd, publication, { signal });
      throw error;
    }
  }

  /** Nobody else can claim the same bytes until the publication is there for all to see. */
  async #publishClaimed(
    device: BlockDevice,
    seen: VbdBackend,
    publication: Publication,
    plan: AttachPlan,
  ): Promise<void> {
    this.#waitingFor = 'other adds of the same bytes';
    const { locator, writable } = plan.request;
    const terms = {
      subject: 'path' in locator ? locator.path : undefined,
      writable,
      sharing: plan.sharing ?? this.#options.sharing ?? 'deny',
    };
    const place = { store: this.#store, vbd: this.#vbd, signal: this.#signal };
    await using _claim = await claimDevice(device, terms, { ...this.#options, ...place });
    this.#waitingFor = 'XenStore to take the device';
    const rollback = (): AbortSignal => this.#deadline.rollback();
    const options = { signal: this.#signal, rollback };
    await publish(this.#store, this.#vbd, seen, publication, options);
  }

  /** What somebody else has published, a killed add for one, is only seen through. */
  async #adopt(
    device: BlockDevice,
    backend: VbdBackend,
    publication: Publication,
    plan: AttachPlan,
  ): Promise<OpenedBy> {
    await using opened = await this.#openedWatch(backend);
    return await this.#complete(opened, device, publication, plan);
  }

  async #complete(
    opened: OpenedWatch,
    device: BlockDevice,
    publication: Publication,
    plan: AttachPlan,
  ): Promise<OpenedBy> {
    this.#waitingFor = `blkback to open ${device.path}`;
    const openedBy = await opened.wait(device.identity.devnum, this.#signal);
    this.#step('connected', `blkback has it open, as ${openedBy} tells`);
    await device.verify();
    if (plan.target.deferredRemove) await this.#markForRemoval(device.bottom);
    const { runDirectory } = this.#options;
    await keep(runDirectory, this.#vbd, device.bottom, plan.target.autoclear, async () => {
      this.#waitingFor = 'XenStore to take hotplug-status';
      await reportConnected(this.#store, this.#vbd, publication, { signal: this.#signal });
    });
    return openedBy;
  }

  /** A failure is told and the vbd served all the same, as the guest has its disk by now. */
  async #markForRemoval({ identity, path }: BlockDevice): Promise<void> {
    try {
      // Never earlier: the device is not ours to remove should the attach fail.
      await removeMapper({ devnum: identity.devnum }, true);
      this.#step('marked', `${path} goes with its last close`);
    } catch (error) {
      this.#warnings.push(
        `${this.#vbd.backend}: ${path} is attached, but could not be marked for deferred removal: ${errorMessage(error)}`,
      );
    }
  }

  #openedWatch(backend: VbdBackend): Promise<OpenedWatch> {
    return OpenedWatch.prepare(this.#store, this.#vbd, backend, this.#options.sysfs);
  }

  /** The deadline's own error knows nothing but that it passed: says what was waited for. */
  explain(error: unknown): unknown {
    if (!(error instanceof HotplugError) || error.code !== 'ETIMEDOUT') return error;
    const seconds = this.#options.timeoutMs / 1000;
    return new HotplugError(
      `${this.#vbd.backend}: gave up within the ${seconds} s that there are, waiting for ${this.#waitingFor}`,
      { code: 'ETIMEDOUT', cause: error },
    );
  }

  #step(step: AttachStep, detail: string): void {
    this.#options.onStep?.(step, detail);
  }
}

function describeDevice({ identity, path }: BlockDevice): string {
  return `${path}, device ${formatDevnum(identity.devnum)}, diskseq ${identity.diskseq}`;
}
