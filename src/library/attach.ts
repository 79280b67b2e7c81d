import {
  type AttachResult,
  type AttachStep,
  attach as attachVbd,
  type StepDevice,
} from '../hotplug/attach.js';
import { type DetachStep, detach as detachVbd } from '../hotplug/detach.js';
import { type ResizeResult, resize as resizeVbd } from '../hotplug/resize.js';
import { SAME_VM_RULES, type SameVmRule } from '../sharing/same-vm.js';
import { SHARINGS, type Sharing } from '../sharing/sharing-rules.js';
import type { Uapi } from '../vbd/publish-device.js';
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

/** Options of every function that acts on a vbd. Every option may be left out. */
export interface VbdOptions {
  /** The longest time for the whole function, the roll-back included; milliseconds. */
  readonly timeoutMs?: number | undefined;
  /** The root of sysfs, below which the xen-backend bus is found. */
  readonly sysfs?: string | undefined;
  /**
   * The directory of locks and records. All programs that attach disks of this domain must use the
   * same directory.
   */
  readonly runDirectory?: string | undefined;
  /** Its abort makes the function give up and roll back. */
  readonly signal?: AbortSignal | undefined;
}

/** Options of `attach`. Every option may be left out. */
export interface AttachOptions extends VbdOptions {
  readonly uapi?: Uapi | undefined;
  /** The sharing for a target that does not specify one. */
  readonly sharing?: Sharing | undefined;
  /** The rule for a domain whose virtual machine may not be read. */
  readonly sameVm?: SameVmRule | undefined;
  /** Called with each step, and with the device from `opened` on. `detail` is for people. */
  readonly onStep?: ((step: AttachStep, detail: string, device?: StepDevice) => void) | undefined;
}

/** Options of `detach`. Every option may be left out. */
export interface DetachOptions extends VbdOptions {
  /** Whether udev is to examine the toolstack's device again once blkback has closed it. */
  readonly udevRefresh?: boolean | undefined;
  readonly onStep?: ((step: DetachStep, detail: string) => void) | undefined;
}

/** Options of `resize`. Every option may be left out. */
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
/** Accepts and ignores the options of `attach`, so that one object can serve for both functions. */
const DETACH_CHECKS: Readonly<Record<keyof DetachOptions, Check>> = {
  ...ATTACH_CHECKS,
  udevRefresh: YES_OR_NO,
};

/**
 * Attaches a vbd. Opens the device that `params` names, proves that it is the right one, publishes
 * it to blkback, and resolves when blkback has opened the device, too. If the function rejects, it
 * has removed everything that it made, except a device that blkback has open or may still open.
 * `detach` removes such a device.
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
 * Detaches a vbd. Waits until blkback has closed the device, and removes everything that is left of
 * the attach. Also works if the backend directory is gone already, or if nothing was attached.
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

/** Makes the disk of an attached vbd as large as its file or device is now. */
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
