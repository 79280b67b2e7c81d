import { unlinkSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { clearIdleLoop } from '../block/loop/clear-idle-loop.js';
import { type DetachOptions, detach } from '../hotplug/detach.js';
import { HotplugError } from '../hotplug/hotplug-error.js';
import { sameDevnum } from '../linux/devnum.js';
import { isOpenFor, listPendingOpens, listPendingOpensFor } from '../sharing/pending-opens.js';
import { readPresentDiskseq } from '../topology/stacked-block.js';
import { listVbds } from '../vbd/list-vbds.js';
import { OpenVbds } from '../vbd/open-vbds.js';
import { tryReadPublishedDevice } from '../vbd/published-device.js';
import { listRecords, readRecordLeniently } from '../vbd/record.js';
import { listUnfinished } from '../vbd/unfinished-records.js';
import { readVbdBackend } from '../vbd/vbd-backend.js';
import { backendNode, sameVbd, type VbdPath } from '../vbd/vbd-path.js';
import type { TransactionStep, Xenstore } from '../xenstore/xenstore.js';
import { confirmDetach, type Expected } from './confirm-detach.js';
import type { Repair, SeenVbd } from './finding.js';
import type { HostLoop } from './host-state.js';

/**
 * Carries out the repair of one finding. Looks again right before it changes anything, and leaves
 * alone what has changed or has come into use since the audit: throws `ERACE` or `EHELD` for it.
 * Throws the errors of a detach, too.
 */
export async function repair(
  store: Xenstore,
  wanted: Repair,
  options: DetachOptions,
): Promise<void> {
  switch (wanted.action) {
    case 'remove-file':
      return removeStrayFile(wanted.path);
    case 'remove-error':
      return await removeError(store, wanted.vbd, options);
    case 'clear-loop':
      return await clearLoop(store, wanted.loop, options);
    case 'detach-gone':
      return await detachIf(store, wanted.vbd, { nodes: 'gone' }, options);
    case 'detach': {
      const { vbd, seen } = wanted;
      await detachIf(store, vbd, { nodes: 'as seen', seen }, options);
      if (seen.node === undefined) return;
      return await change(store, vbd, options, [
        { op: 'expect', path: backendNode(vbd, 'node'), value: seen.node },
        { op: 'remove', path: backendNode(vbd, 'node') },
      ]);
    }
    case 'remove-backend': {
      const { vbd, frontend, seen } = wanted;
      await detachIf(store, vbd, { nodes: 'as seen', seen }, options);
      requireClosed(vbd, options);
      return await removeBackend(store, vbd, frontend, options);
    }
  }
}

async function detachIf(
  store: Xenstore,
  vbd: VbdPath,
  expected: Expected,
  options: DetachOptions,
): Promise<void> {
  const openVbds = new OpenVbds(options.sysfs);
  await detach(store, vbd, {
    ...options,
    // The published number may be that of another disk by now.
    udevRefresh: expected.nodes === 'as seen' && options.udevRefresh && !isStale(expected.seen),
    confirm: async (found) => {
      await confirmDetach(found, expected, openVbds);
      await requireNotAwaited(vbd, options);
      if (found.loop !== undefined) await requireUnnamed(store, found.loop, vbd, options);
    },
  });
}

/**
 * Throws `EHELD` if blkback may still open a device for the vbd: its add is under way, or has been
 * killed and another process holds the device for it.
 */
async function requireNotAwaited(vbd: VbdPath, { runDirectory }: DetachOptions): Promise<void> {
  if ((await listPendingOpensFor(runDirectory, vbd)).length === 0) return;
  throw new HotplugError(`blkback may be about to open the device of ${vbd.backend}, which stays`, {
    code: 'EHELD',
  });
}

/** Removes a file of the run directory, unless it is a record by now, or is about to be one. */
function removeStrayFile(path: string): void {
  const directory = dirname(path);
  const isUnfinished = listUnfinished(directory).some((left) => left.path === path);
  const record = listRecords(directory).find((vbd) => `${vbd.sysfsName}.json` === basename(path));
  const isUnreadable = record !== undefined && readRecordLeniently(directory, record) === undefined;
  if (!isUnfinished && !isUnreadable) {
    throw new HotplugError(`${path} has changed since the audit looked at it, and stays`, {
      code: 'ERACE',
    });
  }
  unlinkSync(path);
}

/**
 * Unbinds a loop device that no vbd has open, names or may still get, and that nobody else has open.
 */
async function clearLoop(store: Xenstore, loop: HostLoop, options: DetachOptions): Promise<void> {
  await requireUnnamed(store, loop, undefined, options);
  await clearIdleLoop(loop, options.signal);
}

/**
 * Throws `EHELD` if a vbd has the loop device open, names it, or may still get it. What `own` has or
 * names does not count.
 */
async function requireUnnamed(
  store: Xenstore,
  loop: Pick<HostLoop, 'path' | 'devnum'>,
  own: VbdPath | undefined,
  { sysfs, runDirectory, signal }: DetachOptions,
): Promise<void> {
  const open = new OpenVbds(sysfs).list().map(({ vbd, devnum }) => ({ vbd, devnum }));
  const published = (await listVbds(store, { signal })).map(async (vbd) => ({
    vbd,
    devnum: tryReadPublishedDevice(vbd, await readVbdBackend(store, vbd, { signal }))?.devnum,
  }));
  const user = [...open, ...(await Promise.all(published))].find(
    ({ vbd, devnum }) =>
      devnum !== undefined &&
      sameDevnum(devnum, loop.devnum) &&
      (own === undefined || !sameVbd(vbd, own)),
  );
  if (user !== undefined) throw inUse(`${loop.path}, which ${user.vbd.backend} names,`);
  // The nodes may be gone, or a `remove` has taken the number back.
  const pending = await listPendingOpens(runDirectory);
  const late = pending.find(
    (one) => sameDevnum(one.devnum, loop.devnum) && (own === undefined || !isOpenFor(one, own)),
  );
  if (late !== undefined) {
    throw inUse(`${loop.path}, which blkback may still open for domain ${late.domid},`);
  }
}

/** Throws `EHELD` if blkback now has a device open for the vbd. */
function requireClosed(vbd: VbdPath, { sysfs }: DetachOptions): void {
  const open = new OpenVbds(sysfs).list();
  if (open.some((other) => sameVbd(other.vbd, vbd))) throw inUse(vbd.backend);
}

/** Removes the kernel's error report about a vbd, if the vbd has no backend. */
async function removeError(store: Xenstore, vbd: VbdPath, options: DetachOptions): Promise<void> {
  const node = vbd.error.replace(/\/error$/, '');
  await change(store, vbd, options, [
    { op: 'expect', path: backendNode(vbd, 'frontend'), value: undefined },
    { op: 'remove', path: node },
  ]);
}

/** Removes the backend of a guest that is gone, if it and the frontend are still gone. */
async function removeBackend(
  store: Xenstore,
  vbd: VbdPath,
  frontend: string,
  options: DetachOptions,
): Promise<void> {
  const isGuest = vbd.domid !== 0;
  await change(store, vbd, options, [
    { op: 'expect', path: frontend, value: undefined },
    ...(isGuest
      ? [{ op: 'expect' as const, path: `/local/domain/${vbd.domid}`, value: undefined }]
      : []),
    { op: 'expect', path: backendNode(vbd, 'frontend'), value: frontend },
    { op: 'remove', path: vbd.backend },
  ]);
}

async function change(
  store: Xenstore,
  vbd: VbdPath,
  { signal }: DetachOptions,
  steps: readonly TransactionStep[],
): Promise<void> {
  const outcome = await store.transact(steps, { signal });
  if (!outcome.committed) throw inUse(vbd.backend);
}

function inUse(what: string): HotplugError {
  return new HotplugError(`${what} has come into use in the meantime, and stays`, {
    code: 'EHELD',
  });
}

/** Tells whether the published number may belong to another device than the published one. */
function isStale({ published }: SeenVbd): boolean {
  if (published === undefined) return false;
  const present = readPresentDiskseq(published.devnum);
  return published.diskseq !== undefined && published.diskseq !== present;
}
