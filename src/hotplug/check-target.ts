import { BlockError } from '../block/block-error.js';
import { deviceName, whyReadOnly } from '../block/device-refusal.js';
import { checkWindow } from '../block/loop/backing-file.js';
import { type ExportRequest, pinLocator } from '../block/open-export.js';
import type { PinnedPath } from '../block/open-path.js';
import { devnumFromStat, formatDevnum } from '../linux/devnum.js';
import { type Conflict, findConflicts } from '../sharing/find-conflicts.js';
import type { SameVmRule } from '../sharing/same-vm.js';
import { explainConflict } from '../sharing/sharing-lock.js';
import { reachOfPath, type SharingRequest } from '../sharing/sharing-request.js';
import type { Sharing } from '../sharing/sharing-rules.js';
import { parseTarget } from '../target/target.js';
import { describeHidden } from '../topology/hidden-file.js';
import { readStackedBlock, type StackedBlock } from '../topology/stacked-block.js';
import { directLookup } from '../topology/storage-lookup.js';
import { encodePath } from '../util/path-bytes.js';
import { OpenVbds } from '../vbd/open-vbds.js';
import { VbdError } from '../vbd/vbd-error.js';
import { readVbdUses, type VbdUses } from '../vbd/vbd-uses.js';
import { AbsentXenstore } from '../xenstore/absent-xenstore.js';
import type { Xenstore } from '../xenstore/xenstore.js';
import { toExportRequest } from './plan.js';

/** The attach that is to be checked. */
export interface CheckOptions {
  /** The target as it would stand in `params`, as `decodePath` makes it from bytes. */
  readonly target: string;
  readonly writable: boolean;
  /** The domain of the guest that is to have the disk. */
  readonly domid: number | undefined;
  /** The sharing of a target that does not say it. */
  readonly sharing: Sharing;
  /** What a domain counts as when its virtual machine may not be read. */
  readonly sameVm: SameVmRule;
  /** The root of sysfs, below which the xen-backend bus is looked for. */
  readonly sysfs: string;
  readonly runDirectory: string;
  readonly signal: AbortSignal;
}

/** The result of a check. */
export interface SharingVerdict {
  readonly use: SharingRequest;
  /** The uses that stand in the way, each with a sentence. None if the target may be attached. */
  readonly conflicts: readonly { readonly conflict: Conflict; readonly reason: string }[];
  /** What could not be looked for, as one sentence each. */
  readonly warnings: readonly string[];
  /** What leaves the answer open, as one sentence each. None if every use is known. */
  readonly gaps: readonly string[];
}

/** How long a check waits until blkback ends a vbd that may still open any device; milliseconds. */
const ENDING_MS = 2000;

/** The owner of layers. Nothing is made here, so no layer needs a real name. */
const CHECKED = 'checked';

/**
 * Returns what an add of a target would find now. Opens nothing for use, and makes, locks and
 * writes nothing. Throws as the add would for a target that is wrong in itself.
 */
export async function checkSharing(
  store: Xenstore,
  options: CheckOptions,
): Promise<SharingVerdict> {
  const { target: text, writable, domid, sharing, sameVm, runDirectory, signal } = options;
  const target = parseTarget(encodePath(text));
  const request = toExportRequest(target, writable, CHECKED);
  const pinned = await pinLocator(request.locator, signal);
  await using node = pinned.fd;
  const block = await requireSuitable(pinned, request);
  const use: SharingRequest = {
    subject: node.name,
    access: writable ? 'read-write' : 'read-only',
    sharing: target.sharing ?? sharing,
    domid,
    device: block && formatDevnum(block.devnum),
    mapper: block?.kind === 'mapper' ? block.devnum : undefined,
    encrypted: request.layer?.kind === 'crypt',
    readReach: (signal) => reachOfPath(pinned, request.file, signal),
    // The target is not open, so it cannot be told whether others use it.
    isSoleOpener: () => false,
  };
  const gaps: string[] = [];
  const uses = listAtLeast(store, options, gaps);
  const storageLookup = directLookup;
  const own = undefined;
  const context = { store, uses, storageLookup, runDirectory, own, sameVm, signal };
  const conflicts: { conflict: Conflict; reason: string }[] = [];
  for await (const found of findConflicts(use, await use.readReach(signal), context)) {
    // An add looks again, as single requests may be anybody's. A check leaves the answer open.
    if (found.kind === 'unexplained' && found.requests !== undefined) {
      gaps.push(await explainConflict(use, found, context));
      continue;
    }
    // Without a XenStore, the nodes of a vbd are not known to be gone.
    const isUnknown = found.kind === 'guest' && store instanceof AbsentXenstore;
    const conflict = isUnknown ? { ...found, nodesGone: false } : found;
    conflicts.push({ conflict, reason: await explainConflict(use, conflict, context) });
  }
  const hidden = pinned.kind === 'file' ? await describeHidden(node) : undefined;
  return { use, conflicts, warnings: hidden === undefined ? [] : [hidden], gaps };
}

/**
 * Returns a source for questions, which must not wait as long as an add: after `ENDING_MS` it lists
 * the uses that are known, and adds to `gaps` what is not. Without a XenStore no vbd is waited for,
 * because every vbd looks as if its nodes were gone.
 */
function listAtLeast(store: Xenstore, { sysfs }: CheckOptions, gaps: string[]): VbdUses {
  const uses = readVbdUses(store, new OpenVbds(sysfs));
  const isExplained = (): boolean => true;
  return {
    list: async (given = {}) => {
      if (store instanceof AbsentXenstore) return await uses.list({ ...given, isExplained });
      try {
        return await uses.list({ ...given, patienceMs: ENDING_MS });
      } catch (error) {
        if (!(error instanceof VbdError && error.code === 'ETIMEDOUT')) throw error;
        gaps.push(error.message);
        return await uses.list({ ...given, isExplained });
      }
    },
  };
}

/**
 * Checks what can be told of a device or file without an open. Returns the device, if it is one.
 * Throws `EREADONLY` or `EIDENTITY` for a device, and `EWINDOW` for a file.
 */
async function requireSuitable(
  { fd, kind }: PinnedPath,
  request: ExportRequest,
): Promise<StackedBlock | undefined> {
  const found = await fd.stat();
  if (kind === 'file') {
    checkWindow(fd.name, found.size, request.file);
    return undefined;
  }
  const devnum = devnumFromStat(found.rdev);
  const block = readStackedBlock(devnum);
  if (request.writable && block?.readOnly) {
    const why = whyReadOnly(deviceName(devnum));
    throw new BlockError(
      `${fd.name} is read-only, and mode w asks for writing${why === undefined ? '' : `: ${why}`}`,
      { code: 'EREADONLY' },
    );
  }
  if (request.diskseq !== undefined && request.diskseq !== block?.diskseq) {
    throw new BlockError(
      `${fd.name} is not the disk that was meant: diskseq ${request.diskseq} was expected, ${block?.diskseq} found`,
      { code: 'EIDENTITY' },
    );
  }
  return block;
}
