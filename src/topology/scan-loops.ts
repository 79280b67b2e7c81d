import type { Devnum } from '../linux/devnum.js';
import { nextTurn } from '../util/next-turn.js';
import { listBoundLoops } from './partition-list.js';

/**
 * Scans that have not begun yet. The key is `true` for all loop devices, `false` for writable ones.
 */
const coming = new Map<boolean, Promise<Devnum[]>>();

/**
 * Lists the loop devices that have bytes, as they are some time after the call: all of them, or
 * only the writable ones. All who ask in one turn of the event loop share one scan. Otherwise
 * hundreds of simultaneous adds would look at hundreds of loop devices each.
 */
export async function scanLoops(readers: boolean): Promise<Devnum[]> {
  const shared = coming.get(readers);
  if (shared !== undefined) return await shared;
  const scan = nextTurn().then(() => {
    // A caller that comes from now on needs a scan of its own, because this scan begins now.
    coming.delete(readers);
    return listBoundLoops(readers);
  });
  coming.set(readers, scan);
  return await scan;
}
