import {
  type AttachResult,
  type AttachStep,
  attach as attachVbd,
  type StepDevice,
} from '../hotplug/attach.js';
import { type DetachStep, detach as detachVbd } from '../hotplug/detach.js';
import { type ResizeResult, resize as resizeVbd } from '../hotplug/resize.js';
import { SHARINGS, type Sharing } from '../sharing/matrix.js';
import { SAME_VM_RULES, type SameVmRule } from '../sharing/same-vm.js';
import type { Uapi } from '../vbd/publish.js';
import type { VbdPath } from '../vbd/vbd-path.js';
import type { Xenstore } from '../xenstore/xenstore.js';
import {
  ABSOLUTE_PATH,
  CALLBACK,
  type Check,
  checkOptions,
  checkStore,
  oneOf,
  requireVbd,
  SIGNAL,
  TIMEOUT,
  withDefaults,
  YES_OR_NO,
} from './check-arguments.js';
import { DEFAULT_OPTIONS } from './defaults.js';

/** What every function that acts on a vbd can be told. */
export interface VbdOptions {
  /** Everything included, roll-back too; milliseconds. */
  readonly timeoutMs?: number | undefined;
  /** Root of sysfs, below which the xen-backend bus is looked for. */
  readonly sysfs?: string | undefined;
  /** Where locks and records lie. All who attach disks of this domain have to use the same one. */
  readonly runDirectory?: string | undefined;
  /** Gives up, and rolls back. */
  readonly signal?: AbortSignal | undefined;
}

/** What `attach` can be told; every option may be left out. */
export interface AttachOptions extends VbdOptions {
  readonly uapi?: Uapi | undefined;
  /** For targets that do not say. */
  readonly sharing?: Sharing | undefined;
  /** What a domain is taken for whose virtual machine may not be read. */
  readonly sameVm?: SameVmRule | undefined;
  /** Told of each step as it is done; from `opened` on with the device. `detail` is for people. */
  readonly onStep?: ((step: AttachStep, detail: string, device?: StepDevice) => void) | undefined;
}

/** What `detach` can be told; every option may be left out. */
export interface DetachOptions extends VbdOptions {
  /** Whether udev is to look at the toolstack's device again, once blkback has closed it. */
  readonly udevRefresh?: boolean | undefined;
  readonly onStep?: ((step: DetachStep, detail: string) => void) | undefined;
}

/** What `resize` can be told; every option may be left out. */
export type ResizeOptions = VbdOptions;

const VBD_CHECKS: Readonly<Record<keyof VbdOptions, Check>> = {
  timeoutMs: TIMEOUT,
  sysfs: ABSOLUTE_PATH,
  runDirectory: ABSOLUTE_PATH,
  signal: SIGNAL,
};
export const ATTACH_CHECKS: Readonly<Record<keyof AttachOptions, Check>> = {
  ...VBD_CHECKS,
  uapi: oneOf(['key', 'inline']),
  sharing: oneOf(SHARINGS),
  sameVm: oneOf(SAME_VM_RULES),
  onStep: CALLBACK,
};
/** What attach can be told as well means nothing here, so that one object serves for both. */
const DETACH_CHECKS: Readonly<Record<keyof DetachOptions, Check>> = {
  ...ATTACH_CHECKS,
  udevRefresh: YES_OR_NO,
};

/**
 * Attaches a vbd: opens the device that `params` names, proves it, names it to blkback, and resolves when
 * blkback has opened it too. When it rejects, everything that it made is gone again, except what blkback has
 * open by then or may still open; `detach` undoes that.
 */
export async function attach(
  store: Xenstore,
  vbd: VbdPath | string,
  options: AttachOptions = {},
): Promise<AttachResult> {
  checkStore('attach', store);
  const path = requireVbd('attach', vbd);
  checkOptions('attach', options, ATTACH_CHECKS);
  return await attachVbd(store, path, withDefaults(DEFAULT_OPTIONS, options));
}

/**
 * Detaches a vbd: waits until blkback has closed the device, and removes what is left of the attach. It
 * works when the backend directory is gone already, and when nothing was attached.
 */
export async function detach(
  store: Xenstore,
  vbd: VbdPath | string,
  options: DetachOptions = {},
): Promise<void> {
  checkStore('detach', store);
  const path = requireVbd('detach', vbd);
  checkOptions('detach', options, DETACH_CHECKS);
  await detachVbd(store, path, withDefaults(DEFAULT_OPTIONS, options));
}

/** Makes the disk of an attached vbd as large as its file or device is by now. */
export async function resize(
  store: Xenstore,
  vbd: VbdPath | string,
  options: ResizeOptions = {},
): Promise<ResizeResult> {
  checkStore('resize', store);
  const path = requireVbd('resize', vbd);
  checkOptions('resize', options, { ...ATTACH_CHECKS, ...VBD_CHECKS });
  return await resizeVbd(store, path, withDefaults(DEFAULT_OPTIONS, options));
}
