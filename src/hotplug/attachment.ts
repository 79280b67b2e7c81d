import type { BlockDevice } from '../block/block-device.js';
import type { PinnedPath } from '../block/open-path.js';
import type { OwnedFd } from '../linux/fd.js';
import type { SharingLock } from '../sharing/sharing-lock.js';
import type { OpenedBy } from '../vbd/await-device-opened.js';
import type { Publication } from '../vbd/publish-device.js';
import type { PublishedDevice } from '../vbd/published-device.js';
import type { VbdBackend } from '../vbd/vbd-backend.js';
import type { VbdInstance } from '../vbd/vbd-instance.js';
import type { VbdPath } from '../vbd/vbd-path.js';
import type { Xenstore } from '../xenstore/xenstore.js';
import type { AttachOptions, StepDevice } from './attach-options.js';
import type { Deadline } from './deadline.js';
import type { AttachPlan } from './plan.js';

/** The input of an attach, and the resources that its steps have acquired so far. */
export class Attachment {
  readonly store: Xenstore;
  readonly vbd: VbdPath;
  /** The nodes that the plan was made from. */
  readonly backend: VbdBackend;
  readonly plan: AttachPlan;
  /** The device that was published before; `undefined` for a vbd that has none. */
  readonly published: PublishedDevice | undefined;
  readonly options: AttachOptions;
  readonly deadline: Deadline;
  /** Ends the work of all steps, but not the roll-back. */
  readonly signal: AbortSignal;
  openedBy: OpenedBy | undefined;
  /**
   * Whether blkback has the published device open and the toolstack knows it. Nothing is changed
   * then.
   */
  isServed = false;
  /** Whether the attach has failed although blkback has the device, or may still get it. */
  isStillNamed = false;
  /**
   * Whether the loop device may stay bound after its last close, because the call that makes it stay
   * was given up. The record of the vbd stays then as well.
   */
  mayStayBound = false;
  /**
   * Whether blkback might still open an earlier device for the vbd when this one was announced. The
   * publication of that device has been taken back, and blkback may have read its number before.
   */
  followsPendingOpen = false;
  /**
   * Whether the add that has published the device, and whose work this one goes on with, seems to have
   * looked for others as a writer.
   */
  isPublishedForWriting = false;
  /**
   * The lock that says that blkback may open the device (`markPendingOpen`). A loop device that was
   * made for the vbd needs none.
   */
  mark: OwnedFd | undefined;
  /** Ends the process that holds the device for blkback, where one was started (`holdDevice`). */
  endHold: (() => void) | undefined;
  /** Keeps other adds of the vbd from placing their record, until this one's is published. */
  recordLock: AsyncDisposable | undefined;
  /** What did not go as asked although the guest has its disk, as one sentence each. */
  readonly warnings: string[] = [];
  #instance: VbdInstance | undefined;
  #pinned: PinnedPath | undefined;
  #sharingLock: SharingLock | undefined;
  #device: BlockDevice | undefined;
  #publication: Publication | undefined;

  constructor(
    context: Pick<
      Attachment,
      'store' | 'vbd' | 'backend' | 'plan' | 'published' | 'options' | 'deadline'
    >,
  ) {
    this.store = context.store;
    this.vbd = context.vbd;
    this.backend = context.backend;
    this.plan = context.plan;
    this.published = context.published;
    this.options = context.options;
    this.deadline = context.deadline;
    this.signal = context.deadline.signal;
  }

  /**
   * Whether the add that has published the device may still be at work, or may have succeeded by now,
   * while this one has found nothing wrong and was only interrupted.
   */
  get mayBeServedByOther(): boolean {
    return this.published !== undefined && this.signal.aborted;
  }

  /** The instance of the vbd, pinned before anything is opened for it. */
  get instance(): VbdInstance {
    return held('instance', this.#instance);
  }

  set instance(instance: VbdInstance) {
    this.#instance = instance;
  }

  /** The file or device to which the target leads, pinned by an O_PATH descriptor. */
  get pinned(): PinnedPath {
    return held('pinned', this.#pinned);
  }

  set pinned(pinned: PinnedPath) {
    this.#pinned = pinned;
  }

  /** Keeps other adds of the same bytes away until the publication is in XenStore. */
  get sharingLock(): SharingLock {
    return held('sharing lock', this.#sharingLock);
  }

  set sharingLock(sharingLock: SharingLock) {
    this.#sharingLock = sharingLock;
  }

  /** The device that is attached, open. */
  get device(): BlockDevice {
    return held('device', this.#device);
  }

  set device(device: BlockDevice) {
    this.#device = device;
  }

  /** The device for listeners. `undefined` before a device is open, or found to be published. */
  get stepDevice(): StepDevice | undefined {
    const target = this.backend.text('params');
    if (this.#device !== undefined) {
      const { path, identity } = this.#device;
      return { target, path, devnum: identity.devnum, diskseq: identity.diskseq };
    }
    const { path, devnum, diskseq } = this.published ?? {};
    if (path === undefined || devnum === undefined || diskseq === undefined) return undefined;
    return { target, path, devnum, diskseq };
  }

  /** The nodes that name the device to blkback, as they were published. */
  get publication(): Publication {
    return held('publication', this.#publication);
  }

  set publication(publication: Publication) {
    this.#publication = publication;
  }
}

function held<T>(name: string, value: T | undefined): T {
  if (value === undefined) throw new Error(`the attach has no ${name} yet`);
  return value;
}
