import { basename } from 'node:path';
import { listDiskHolders } from '../block/holders.js';
import type { Detachment } from '../hotplug/detachment.js';
import { HotplugError } from '../hotplug/hotplug-error.js';
import { formatDevnum, sameDevnum } from '../linux/devnum.js';
import { isInMemory } from '../linux/memory-file.js';
import type { OpenVbds } from '../vbd/open-vbds.js';
import type { SeenVbd } from './finding.js';

/** What must be true of a vbd that `gc` detaches, beside that blkback has nothing open for it. */
export type Expected =
  | { readonly nodes: 'gone' }
  | { readonly nodes: 'as seen'; readonly seen: SeenVbd };

/**
 * Makes sure that a detach undoes what the audit has found and nothing else. The detach compares
 * everything that it changes with the facts that it gives here, so nothing can come in between.
 * Throws `ERACE` if the vbd has changed, and `EHELD` if somebody has its device open.
 */
export async function confirmDetach(
  found: Detachment,
  expected: Expected,
  openVbds: OpenVbds,
): Promise<void> {
  const { vbd, backend, open, published, loop } = found;
  if (open !== undefined) {
    throw new HotplugError(
      `blkback has device ${formatDevnum(open)} open for ${vbd.backend} now, which stays as it is`,
      { code: 'EHELD' },
    );
  }
  const changed = new HotplugError(
    `${vbd.backend} has changed since the audit looked at it, and stays as it is`,
    { code: 'ERACE' },
  );
  if (expected.nodes === 'gone') {
    if (backend.exists || found.wasMadeAnew) throw changed;
  } else {
    const { state, published: before, node } = expected.seen;
    const isSame =
      published === undefined || before === undefined
        ? published === before
        : sameDevnum(published.devnum, before.devnum) && published.diskseq === before.diskseq;
    if (!isSame || backend.text('state') !== state) throw changed;
    // Xen's script has made a loop device. Whether it is the one over the target is for the kernel
    // to tell, and where it does not, nobody knows whose loop device that is.
    if (node !== loop?.path && isBoundLoopNode(node)) {
      throw new HotplugError(
        `${node} is not seen to stand on the target of ${vbd.backend}: look at it with losetup, and run losetup -d if it is not needed`,
        { code: 'EIDENTITY' },
      );
    }
  }
  if (loop === undefined) return;
  const guests = openVbds.list().filter(({ devnum }) => sameDevnum(devnum, loop.devnum));
  const holders = [
    ...guests.map(({ vbd: other }) => `blkback for ${other.backend}`),
    ...(await listDiskHolders(loop.devnum)).map(({ name }) => name),
  ];
  if (holders.length === 0) return;
  throw new HotplugError(`${loop.path} is still open: ${holders.join(', ')}`, { code: 'EHELD' });
}

function isBoundLoopNode(node: string | undefined): boolean {
  if (node === undefined || !/^\/dev\/loop\d+$/.test(node)) return false;
  return isInMemory(`/sys/block/${basename(node)}/loop/backing_file`);
}
