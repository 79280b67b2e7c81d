import { unlinkSync } from 'node:fs';
import { type DetachOptions, detach } from '../hotplug/detach.js';
import { HotplugError } from '../hotplug/hotplug-error.js';
import { OpenVbds } from '../vbd/open-vbds.js';
import { readVbdBackend } from '../vbd/vbd-backend.js';
import { backendNode, sameVbd, type VbdPath } from '../vbd/vbd-path.js';
import type { TransactionStep, Xenstore } from '../xenstore/xenstore.js';
import type { Repair } from './finding.js';

/**
 * Carries out the repair of one finding. Leaves a vbd alone that has come into use since the audit,
 * and throws `EHELD` for it. Throws the errors of a detach, too.
 */
export async function repair(
  store: Xenstore,
  wanted: Repair,
  options: DetachOptions,
): Promise<void> {
  switch (wanted.action) {
    case 'remove-file':
      unlinkSync(wanted.path);
      return;
    case 'remove-error':
      return await removeError(store, wanted.vbd, options);
    case 'detach':
      await requireClosed(wanted.vbd, options);
      return await detach(store, wanted.vbd, options);
    case 'detach-gone': {
      await requireClosed(wanted.vbd, options);
      const { exists } = await readVbdBackend(store, wanted.vbd, { nodes: ['frontend'] });
      if (exists) throw inUse(wanted.vbd);
      return await detach(store, wanted.vbd, options);
    }
    case 'remove-backend':
      await requireClosed(wanted.vbd, options);
      await detach(store, wanted.vbd, options);
      await requireClosed(wanted.vbd, options);
      return await removeBackend(store, wanted.vbd, wanted.frontend, options);
  }
}

/** Throws `EHELD` if blkback now has a device open for the vbd. */
async function requireClosed(vbd: VbdPath, { sysfs }: DetachOptions): Promise<void> {
  const open = await new OpenVbds(sysfs).list();
  if (open.some((other) => sameVbd(other.vbd, vbd))) throw inUse(vbd);
}

/** Removes the kernel's error report about a vbd, if the vbd has no backend. */
async function removeError(store: Xenstore, vbd: VbdPath, options: DetachOptions): Promise<void> {
  const node = vbd.error.replace(/\/error$/, '');
  await change(store, vbd, options, [
    { op: 'expect', path: backendNode(vbd, 'frontend'), value: undefined },
    { op: 'remove', path: node },
  ]);
}

/** Removes the backend of a guest that is gone, if the frontend is still gone. */
async function removeBackend(
  store: Xenstore,
  vbd: VbdPath,
  frontend: string,
  options: DetachOptions,
): Promise<void> {
  await change(store, vbd, options, [
    { op: 'expect', path: frontend, value: undefined },
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
  if (!outcome.committed) throw inUse(vbd);
}

function inUse(vbd: VbdPath): HotplugError {
  return new HotplugError(`${vbd.backend} has come into use in the meantime, and stays`, {
    code: 'EHELD',
  });
}
