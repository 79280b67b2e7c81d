import { BlkbackError } from '../errors.js';
import {
  type CheckOptions as CheckContext,
  checkSharing,
  type SharingVerdict,
} from '../hotplug/check-target.js';
import { inspectTarget } from '../hotplug/inspect-target.js';
import type { Devnum } from '../linux/devnum.js';
import { SAME_VM_RULES, type SameVmRule } from '../sharing/same-vm.js';
import { SHARINGS, type Sharing } from '../sharing/sharing-rules.js';
import { parseTarget as parse, type Target } from '../target/target.js';
import type { Access } from '../topology/local-use.js';
import type { DeviceStack } from '../topology/stack.js';
import { decodePath } from '../util/path-bytes.js';
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

/** Options of `check` and `inspect`. Every option may be left out. */
export interface TargetOptions {
  /** The access of the guest: `r` only reads, and `w`, the default, reads and writes. */
  readonly mode?: 'r' | 'w' | undefined;
  /** The guest that is to get the target. By default, a guest that does not use it yet. */
  readonly domid?: number | undefined;
  /** The sharing for a target that does not specify one. */
  readonly sharing?: Sharing | undefined;
  /** The rule for a domain whose virtual machine may not be read. */
  readonly sameVm?: SameVmRule | undefined;
  /** The root of sysfs, below which the xen-backend bus is found. */
  readonly sysfs?: string | undefined;
  /** The directory of the locks of adds. Use the run directory of the daemon that serves vbds. */
  readonly runDirectory?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A use of the same bytes that keeps a target from being attached. */
export interface TargetConflict {
  readonly kind: 'guest' | 'mount' | 'swap' | 'claim' | 'image' | 'unexplained';
  readonly access: Access;
  /** The path of the device or file that is in use. */
  readonly path: string;
  readonly devnum: Devnum | undefined;
  /** The vbd of another guest, if the use is one. */
  readonly vbd: VbdPath | undefined;
  /** One sentence for a person. */
  readonly reason: string;
}

/** The answer to the question whether a target could be attached. */
export interface CheckResult {
  /** Whether there is no conflict, and no use that could not be found out. */
  readonly free: boolean;
  readonly conflicts: readonly TargetConflict[];
  /** One sentence for each use, or kind of use, that could not be looked for. */
  readonly warnings: readonly string[];
}

/** The facts that an attach of a target would find. */
export interface Inspection {
  readonly target: Target;
  readonly kind: 'block' | 'file';
  /** The device and all devices below it. `undefined` for a file. */
  readonly stack: DeviceStack | undefined;
  /** The known holders that have the device open. */
  readonly holders: readonly string[];
  /** The reason for which the target cannot be attached, regardless of other users. */
  readonly refusal: BlkbackError | undefined;
  readonly conflicts: readonly TargetConflict[];
  /** One sentence for each use that could not be found out. */
  readonly gaps: readonly string[];
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

/** Parses a target, as `params` of a vbd contains it. Opens nothing. */
export function parseTarget(target: string | Uint8Array): Target {
  return parse(Buffer.from(requireTarget('parseTarget', target)));
}

/**
 * Tells whether a target could be attached now, and which uses conflict with it if not. Creates no
 * device. Throws `ArgumentError` for an invalid argument.
 */
export async function check(
  store: Xenstore,
  target: string,
  options: TargetOptions = {},
): Promise<CheckResult> {
  const { conflicts, warnings, gaps } = await checkSharing(
    store,
    toContext('check', { store, target, options }),
  );
  return {
    free: conflicts.length === 0 && gaps.length === 0,
    conflicts: conflicts.map(toConflict),
    warnings: [...warnings, ...gaps],
  };
}

/**
 * Returns what an attach of a target would find: the devices below it, and their users. Throws
 * `ArgumentError` for an invalid argument.
 */
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
  const bytesOrText = requireTarget(caller, given.target);
  const target = typeof bytesOrText === 'string' ? bytesOrText : decodePath(bytesOrText);
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
