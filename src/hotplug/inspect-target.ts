import { listHolders } from '../block/holders.js';
import { checkExport, type ExportRequest, pinLocator } from '../block/open-export.js';
import { devnumFromStat } from '../linux/devnum.js';
import { parseTarget, type Target } from '../target/target.js';
import { type DeviceStack, readStack } from '../topology/stack.js';
import { encodePath } from '../util/path-bytes.js';
import type { Xenstore } from '../xenstore/xenstore.js';
import { type CheckOptions, checkSharing, type SharingVerdict } from './check-target.js';
import { toExportRequest } from './plan.js';

/** The facts that an add of a target would find. */
export interface TargetInspection {
  readonly target: Target;
  readonly kind: 'block' | 'file';
  /** The device and what it stands on; `undefined` for a file. */
  readonly stack: DeviceStack | undefined;
  /** The users that have the device open, as far as they can be seen. */
  readonly holders: readonly string[];
  /** The error that an add would end with, no matter who else uses the device. */
  readonly refusal: unknown;
  readonly conflicts: SharingVerdict['conflicts'];
  /** What leaves it open whether others use the device, as one sentence each. */
  readonly gaps: SharingVerdict['gaps'];
}

/** The owner of layers. An inspection makes none. */
const INSPECTED = 'inspected';

/** Looks at a target and at all of its users. Makes, locks and writes nothing. */
export async function inspectTarget(
  store: Xenstore,
  options: CheckOptions,
): Promise<TargetInspection> {
  const target = parseTarget(encodePath(options.target));
  const request = toExportRequest(target, options.writable, INSPECTED);
  const found = await readDevice(request);
  const refusal = await refusalOf(checkExport(request, options.signal));
  if (refusal !== undefined) return { target, ...found, refusal, conflicts: [], gaps: [] };
  const { conflicts, gaps } = await checkSharing(store, options);
  return { target, ...found, refusal, conflicts, gaps };
}

/** Returns the error with which a check rejects; `undefined` where it finds nothing wrong. */
async function refusalOf(checked: Promise<void>): Promise<unknown> {
  return await checked.then(
    () => undefined,
    (error: unknown) => error,
  );
}

/** Reads what a target leads to, whether or not it can be attached. */
async function readDevice({
  locator,
}: ExportRequest): Promise<Pick<TargetInspection, 'kind' | 'stack' | 'holders'>> {
  const { fd, kind } = await pinLocator(locator);
  await using node = fd;
  if (kind === 'file') return { kind, stack: undefined, holders: [] };
  const devnum = devnumFromStat(node.inode.rdev);
  const [stack, holders] = await Promise.all([readStack(devnum), listHolders(devnum)]);
  return { kind, stack, holders: holders.map(({ name }) => name) };
}
