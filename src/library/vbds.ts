import { isEmptyDrive } from '../hotplug/empty-drive.js';
import { planAttach } from '../hotplug/plan.js';
import type { Sharing } from '../sharing/sharing-rules.js';
import type { Target } from '../target/target.js';
import type { OpenedBy } from '../vbd/await-device-opened.js';
import { awaitVbdClosed } from '../vbd/await-vbd-closed.js';
import { awaitVbdOpened } from '../vbd/await-vbd-opened.js';
import { requireOwnDomain } from '../vbd/own-domain.js';
import { summarizeVbd, summarizeVbds, type VbdSummary } from '../vbd/summarize-vbd.js';
import { readVbdBackend } from '../vbd/vbd-backend.js';
import type { VbdPath } from '../vbd/vbd-path.js';
import type { Xenstore } from '../xenstore/xenstore.js';
import {
  ABSOLUTE_PATH,
  type Check,
  checkOptions,
  checkStore,
  DOMID,
  requireVbd,
  SIGNAL,
  TIMEOUT,
  withDefaults,
} from './check-arguments.js';
import { DEFAULT_OPTIONS } from './defaults.js';

/** Options of every function that only reads. Every option may be left out. */
export interface LookOptions {
  /** The root of sysfs, below which the xen-backend bus is found. */
  readonly sysfs?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Options of `list`. Every option may be left out. */
export interface ListOptions extends LookOptions {
  /** Limits the list to the vbds of this guest. */
  readonly domid?: number | undefined;
}

/** Options of `waitOpened` and `waitClosed`. Every option may be left out. */
export interface WaitOptions extends LookOptions {
  /** The longest time to wait; milliseconds. */
  readonly timeoutMs?: number | undefined;
}

/** A description of what an attach would do. */
export interface AttachPlan {
  readonly target: Target;
  readonly writable: boolean;
  /** The sharing that the target or the mode asks for. `undefined` if neither asks for one. */
  readonly sharing: Sharing | undefined;
}

const LOOK_CHECKS: Readonly<Record<keyof LookOptions, Check>> = {
  sysfs: ABSOLUTE_PATH,
  signal: SIGNAL,
};
const WAIT_CHECKS: Readonly<Record<keyof WaitOptions, Check>> = {
  ...LOOK_CHECKS,
  timeoutMs: TIMEOUT,
};
const { sysfs, timeoutMs } = DEFAULT_OPTIONS;

/** Lists the vbds of this domain that XenStore knows, and the vbds that only the kernel knows. */
export async function list(store: Xenstore, options: ListOptions = {}): Promise<VbdSummary[]> {
  checkStore('list', store);
  checkOptions('list', options, { ...LOOK_CHECKS, domid: DOMID });
  const { domid, ...rest } = withDefaults({ sysfs }, options);
  const all = await summarizeVbds(store, rest.sysfs, rest);
  return all.filter(({ vbd }) => domid === undefined || vbd.domid === domid);
}

/** Returns all facts about one vbd, or `undefined` if neither XenStore nor the kernel has it. */
export async function show(
  store: Xenstore,
  vbd: VbdPath | string,
  options: LookOptions = {},
): Promise<VbdSummary | undefined> {
  checkStore('show', store);
  const path = requireVbd('show', vbd);
  checkOptions('show', options, LOOK_CHECKS);
  const whole = withDefaults({ sysfs }, options);
  return await summarizeVbd(store, path, whole.sysfs, whole);
}

/**
 * Returns what an attach would do, or `undefined` for a CD-ROM drive without a medium. Opens
 * nothing. Throws the same error as an attach for an invalid target or mode.
 */
export async function plan(
  store: Xenstore,
  vbd: VbdPath | string,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<AttachPlan | undefined> {
  checkStore('plan', store);
  const path = requireVbd('plan', vbd);
  checkOptions('plan', options, { signal: SIGNAL });
  await requireOwnDomain(store, path, options);
  const backend = await readVbdBackend(store, path, options);
  if (isEmptyDrive(backend)) return undefined;
  const { target, request, sharing } = planAttach(path, backend);
  return { target, writable: request.writable, sharing };
}

/** Waits until blkback has opened the device of a vbd, no matter which program attaches it. */
export async function waitOpened(
  store: Xenstore,
  vbd: VbdPath | string,
  options: WaitOptions = {},
): Promise<OpenedBy> {
  checkStore('waitOpened', store);
  const path = requireVbd('waitOpened', vbd);
  checkOptions('waitOpened', options, WAIT_CHECKS);
  return await awaitVbdOpened(store, path, withDefaults({ sysfs, timeoutMs }, options));
}

/**
 * Waits until blkback has no device open for a vbd, no matter which program detaches it. Asks only
 * the kernel, and not XenStore.
 */
export async function waitClosed(vbd: VbdPath | string, options: WaitOptions = {}): Promise<void> {
  const path = requireVbd('waitClosed', vbd);
  checkOptions('waitClosed', options, WAIT_CHECKS);
  await awaitVbdClosed(path, withDefaults({ sysfs, timeoutMs }, options));
}
