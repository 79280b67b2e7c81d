import type { Devnum } from '../linux/devnum.js';
import type { Sharing } from '../sharing/matrix.js';
import type { SameVmRule } from '../sharing/same-vm.js';
import type { Surroundings } from '../topology/nearby.js';
import type { OpenedBy } from '../vbd/opened.js';
import type { Publication, Uapi } from '../vbd/publish.js';
import type { VbdBackend } from '../vbd/vbd-backend.js';
import type { VbdUses } from '../vbd/vbd-uses.js';

export interface AttachOptions {
  /** Everything included, roll-back too; milliseconds. */
  readonly timeoutMs: number;
  readonly uapi: Uapi;
  /** Root of sysfs, below which the xen-backend bus is looked for. */
  readonly sysfs: string;
  readonly runDirectory: string;
  /** For targets that do not say; `deny` if it is left out. */
  readonly sharing?: Sharing | undefined;
  /** What a domain is taken for whose virtual machine may not be read; `check` if it is left out. */
  readonly sameVm?: SameVmRule | undefined;
  /** Where it is known which devices vbds have; by default XenStore and sysfs are read for it. */
  readonly uses?: VbdUses | undefined;
  /** Where it is known what devices stand on; by default all of them are looked at. */
  readonly surroundings?: Surroundings | undefined;
  readonly signal?: AbortSignal | undefined;
  /** The backend as it was a moment ago, which need not be read again: the publication checks it. */
  readonly seen?: VbdBackend | undefined;
  /**
   * Told of each step as it is done; with the device as soon as it is open, or found to be published.
   * `detail` is for people.
   */
  readonly onStep?: ((step: AttachStep, detail: string, device?: StepDevice) => void) | undefined;
}

/** The device of a vbd that is being attached. */
export interface StepDevice {
  /** `params` of the vbd. */
  readonly target: string | undefined;
  /** A path of it, e.g. `/dev/loop3`. */
  readonly path: string;
  readonly devnum: Devnum;
  readonly diskseq: bigint;
}

/** The steps of an attach, in their order. Some have nothing to tell, and are not told of. */
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

/** What has come of an attach. */
export interface AttachResult {
  readonly backend: string;
  /** `undefined` for a CD-ROM drive without a medium: there is no device then. */
  readonly publication: Publication | undefined;
  readonly openedBy: OpenedBy | undefined;
  /** The device had been published before; nothing was made. */
  readonly already: boolean;
  /** What did not go as asked, although the guest has its disk; a sentence each. */
  readonly warnings: readonly string[];
}
