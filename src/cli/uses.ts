import { resolve } from 'node:path';
import { pinPath } from '../block/open-path.js';
import { reachOfPath } from '../sharing/sharing-request.js';
import { overlap } from '../topology/extent.js';
import type { VbdSummary } from '../vbd/summarize-vbd.js';

const WHOLE = { offset: 0n, size: undefined };

/**
 * Returns the vbds that have bytes of a file or device, through whatever devices, and the vbds
 * whose target names it. For another backend domain only the target counts, because nobody here
 * knows what its devices stand on. Throws if the path leads nowhere.
 */
export async function selectUsers(
  path: string,
  summaries: readonly VbdSummary[],
  signal: AbortSignal,
): Promise<VbdSummary[]> {
  const absolute = resolve(path);
  const pinned = await pinPath(absolute, signal);
  await using _node = pinned.fd;
  const { snapshot, reach } = await reachOfPath(pinned, WHOLE, signal);
  const users: VbdSummary[] = [];
  for (const summary of summaries) {
    if (summary.isRemote) continue;
    const devnum = summary.openDevnum ?? summary.devnum;
    // A device that does not answer has no bytes here, and a target can still name it.
    const theirs = devnum && (await snapshot.reach(devnum).catch(() => undefined));
    const isUser = theirs !== undefined && overlap(reach.extents, theirs.extents);
    if (isUser || summary.target === absolute) users.push(summary);
  }
  return users;
}
