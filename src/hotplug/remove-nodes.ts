import { isMadeAnew } from '../vbd/vbd-directory.js';
import { backendNode } from '../vbd/vbd-path.js';
import type { Xenstore } from '../xenstore/xenstore.js';
import type { DetachOptions } from './detach.js';
import type { Detachment } from './detachment.js';

/**
 * Leaves the directory as the toolstack made it, so that an add can attach the vbd anew. Keeps a
 * newer publication: the vbd was made anew then, and blkback may have that device open.
 */
export async function removeNodes(
  store: Xenstore,
  { vbd, backend, directory }: Detachment,
  { sysfs }: DetachOptions,
  signal: AbortSignal,
): Promise<void> {
  const names = ['physical-device', 'diskseq'] as const;
  const paths = names.map((name) => backendNode(vbd, name));
  const present = await store.readMany(paths, { signal });
  const isSeen = (value: Buffer | undefined, index: number): boolean =>
    value === undefined || backend.bytes(names[index] ?? 'diskseq')?.equals(value) === true;
  if (!present.every(isSeen)) return;
  const nodes = [
    'physical-device',
    'physical-device-path',
    'diskseq',
    'hotplug-status',
    'hotplug-error',
  ];
  await store.transact(
    [
      { op: 'exists', path: vbd.backend },
      ...paths.map((path, index) => ({ op: 'expect' as const, path, value: present[index] })),
      ...nodes.map((node) => ({ op: 'remove' as const, path: backendNode(vbd, node) })),
    ],
    { signal, confirm: () => !isMadeAnew(sysfs, vbd.sysfsName, directory) },
  );
}
