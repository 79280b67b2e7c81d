import type { Devnum } from '../linux/devnum.js';
import type { SameVmRule } from '../sharing/same-vm.js';
import type { Sharing } from '../sharing/sharing-rules.js';
import type { StorageLookup } from '../topology/storage-lookup.js';
import type { OpenedBy } from '../vbd/await-device-opened.js';
import type { Publication, Uapi } from '../vbd/publish-device.js';
import type { VbdBackend } from '../vbd/vbd-backend.js';
import type { VbdUses } from '../vbd/vbd-uses.js';

/** The options of an attach. */
export interface AttachOptions {
  /** The time for everything, including the roll-back; milliseconds. */
  readonly timeoutMs: number;
  readonly uapi: Uapi;
  /** The root of sysfs, below which the xen-backend bus is looked for. */
  readonly sysfs: string;
  readonly runDirectory: string;
  /** The sharing of targets that do not say it; `deny` if it is left out. */
  readonly sharing?: Sharing | undefined;
  /**
   * What a domain counts as when its virtual machine may not be read; `check` if it is left out.
   */
  readonly sameVm?: SameVmRule | undefined;
  /** The source that knows which devices vbds have. By default, XenStore and sysfs are read. */
  readonly uses?: VbdUses | undefined;
  /** The source that knows what devices stand on. By default, all devices are looked at. */
  readonly storageLookup?: StorageLookup | undefined;
  readonly signal?: AbortSignal | undefined;
  /**
   * The backend as it was a moment ago, so that it need not be read again. The publication checks
   * that it has not changed.
   */
  readonly seen?: VbdBackend | undefined;
  /**
   * Called with the nodes that the attach goes by, before anything is made of them. An attach that
   * reads the nodes again calls it again.
   */
  readonly onSeen?: ((backend: VbdBackend) => void) | undefined;
  /**
   * Called with each step when the step is done, and with the device as soon as the device is open
   * or found to be published. `detail` is for people.
   */
  readonly onStep?: ((step: AttachStep, detail: string, device?: StepDevice) => void) | undefined;
}

/** The device of a vbd that is being attached. */
export interface StepDevice {
  /** `params` of the vbd. */
  readonly target: string | undefined;
  /** A path of the device, such as `/dev/loop3`. */
  readonly path: string;
  readonly devnum: Devnum;
  readonly diskseq: bigint;
}

/** The steps of an attach, in their order. Steps that have nothing to tell are not reported. */
export type AttachStep =
  | 'planned'
  | 'ready'
  | 'locked'
  | 'opened'
  | 'checked'
  | 'recorded'
  | 'announced'
  | 'published'
  | 'connected'
  | 'kept'
  | 'reported'
  | 'marked'
  | 'released';

/** The result of an attach. */
export interface AttachResult {
  readonly backend: string;
  /** `undefined` for a CD-ROM drive without a medium, which has no device. */
  readonly publication: Publication | undefined;
  readonly openedBy: OpenedBy | undefined;
  /** Whether the device had been published before, so that nothing was made. */
  readonly already: boolean;
  /** What did not go as asked although the guest has its disk, as one sentence each. */
  readonly warnings: readonly string[];
}
