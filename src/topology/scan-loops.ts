import type { Devnum } from '../linux/devnum.js';
import { nextTurn } from '../util/next-turn.js';
import { listBoundLoops } from './stacked-block.js';

/** Scans that have not begun yet: of all loop devices, and of those that can be written. */
const coming = new Map<boolean, Promise<Devnum[]>>();

/**
 * Lists the loop devices that have bytes, of all or only of those that can be written, as they are
 * some time after the call. Those who ask in one turn of the event loop share one scan: hundreds of
 * adds at once would else look at hundreds of loop devices each.
 */
export async function scanLoops(readers: boolean): Promise<Devnum[]> {
  const shared = coming.get(readers);
  if (shared !== undefined) return await shared;
  const scan = nextTurn().then(() => {
    // Whoever comes from here on may have come after what is looked at now.
    coming.delete(readers);
    return listBoundLoops(readers);
  });
  coming.set(readers, scan);
  return await scan;
}
