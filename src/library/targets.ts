import { BlkbackError } from '../errors.js';
import {
  type CheckOptions as CheckContext,
  checkSharing,
  type SharingVerdict,
} from '../hotplug/check-target.js';
import { inspectTarget } from '../hotplug/inspect-target.js';
import type { Devnum } from '../linux/devnum.js';
import { SHARINGS, type Sharing } from '../sharing/matrix.js';
import { SAME_VM_RULES, type SameVmRule } from '../sharing/same-vm.js';
import { parseTarget as parse, type Target } from '../target/target.js';
import type { Access } from '../topology/local-use.js';
import type { DeviceStack } from '../topology/stack.js';
import type { VbdPath } from '../vbd/vbd-path.js';
import type { Xenstore } from '../xenstore/xenstore.js';
import { ArgumentError } from './argument-error.js';
import {
  ABSOLUTE_PATH,
  type Check,
  checkOptions,
  checkStore,
  DOMID,
  oneOf,
  SIGNAL,
  show,
  withDefaults,
} from './check-arguments.js';
import { DEFAULT_OPTIONS } from './defaults.js';

/** What `check` and `inspect` can be told; every option may be left out. */
export interface TargetOptions {
  /** What the guest may do: `w` writes as well, and is the default. */
  readonly mode?: 'r' | 'w' | undefined;
  /** The guest that is to have it; by default any other than those that have it. */
  readonly domid?: number | undefined;
  /** For a target that does not say. */
  readonly sharing?: Sharing | undefined;
  /** What a domain is taken for whose virtual machine may not be read. */
  readonly sameVm?: SameVmRule | undefined;
  /** Root of sysfs, below which the xen-backend bus is looked for. */
  readonly sysfs?: string | undefined;
  /** Where adds keep their locks; the directory of the daemon that serves the vbds. */
  readonly runDirectory?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A use of the same bytes that is in the way. */
export interface TargetConflict {
  readonly kind: 'guest' | 'mount' | 'swap' | 'claim' | 'image' | 'unexplained';
  readonly access: Access;
  /** Path of the device or file that is used. */
  readonly path: string;
  readonly devnum: Devnum | undefined;
  /** The vbd of another guest, where it is one. */
  readonly vbd: VbdPath | undefined;
  /** One sentence for a person. */
  readonly reason: string;
}

/** Whether a target could be attached, and who is in the way. */
export interface CheckResult {
  /** Whether nothing is in the way. */
  readonly free: boolean;
  readonly conflicts: readonly TargetConflict[];
  /** What could not be looked for; a sentence each. */
  readonly warnings: readonly string[];
}

/** What an attach of a target would find. */
export interface Inspection {
  readonly target: Target;
  readonly kind: 'block' | 'file';
  /** The device and what it stands on; `undefined` for a file. */
  readonly stack: DeviceStack | undefined;
  /** Who has the device open, as far as it can be seen. */
  readonly holders: readonly string[];
  /** Why it cannot be attached, whoever else uses it. */
  readonly refusal: BlkbackError | undefined;
  readonly conflicts: readonly TargetConflict[];
}

const CHECKS: Readonly<Record<keyof TargetOptions, Check>> = {
  mode: oneOf(['r', 'w']),
  domid: DOMID,
  sharing: oneOf(SHARINGS),
  sameVm: oneOf(SAME_VM_RULES),
  sysfs: ABSOLUTE_PATH,
  runDirectory: ABSOLUTE_PATH,
  signal: SIGNAL,
};

/** Reads a target, which is what `params` would be. It opens nothing. */
export function parseTarget(target: string | Uint8Array): Target {
  return parse(Buffer.from(requireTarget('parseTarget', target)));
}

/** Tells whether a target could be attached by now, and if not, who is in the way. It makes nothing. */
export async function check(
  store: Xenstore,
  target: string,
  options: TargetOptions = {},
): Promise<CheckResult> {
  const { conflicts, warnings } = await checkSharing(
    store,
    toContext('check', { store, target, options }),
  );
  return { free: conflicts.length === 0, conflicts: conflicts.map(toConflict), warnings };
}

/** Tells what an attach of a target would find: the devices below it, and who uses them. */
export async function inspect(
  store: Xenstore,
  target: string,
  options: TargetOptions = {},
): Promise<Inspection> {
  const context = toContext('inspect', { store, target, options });
  const { refusal, conflicts, ...found } = await inspectTarget(store, context);
  if (refusal !== undefined && !(refusal instanceof BlkbackError)) throw refusal;
  return { ...found, refusal, conflicts: conflicts.map(toConflict) };
}

function toContext(
  caller: string,
  given: { readonly store: Xenstore; readonly target: string; readonly options: TargetOptions },
): CheckContext {
  checkStore(caller, given.store);
  checkOptions(caller, given.options, CHECKS);
  const { sharing, sameVm, sysfs, runDirectory } = DEFAULT_OPTIONS;
  const signal = new AbortController().signal;
  const { mode, ...options } = withDefaults(
    { sharing, sameVm, sysfs, runDirectory, signal },
    given.options,
  );
  const target = String(requireTarget(caller, given.target));
  return { ...options, domid: options.domid, target, writable: mode !== 'r' };
}

function requireTarget(caller: string, target: string | Uint8Array): string | Uint8Array {
  if (typeof target === 'string' || target instanceof Uint8Array) return target;
  throw new ArgumentError(
    `${caller}: target is ${show(target)}: a text such as /srv/root.img is needed`,
  );
}

function toConflict({ conflict, reason }: SharingVerdict['conflicts'][number]): TargetConflict {
  const { kind, access, path, devnum } = conflict;
  const vbd = conflict.kind === 'guest' ? conflict.vbd : undefined;
  return { kind, access, path, devnum, vbd, reason };
}
