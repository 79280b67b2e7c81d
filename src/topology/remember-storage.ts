import { UeventSocket } from '../linux/uevents.js';
import { TELLS_OF_LOOPS } from './loop-backing.js';
import { type Surroundings, unremembered } from './nearby.js';
import { StorageIndex } from './storage-index.js';

/**
 * For a process that answers many questions: remembers what devices stand on, where the kernel tells of
 * what changes. Where it does not, every question looks at everything.
 */
export function rememberStorage(): Surroundings {
  const events = UeventSocket.open();
  return events === undefined ? unremembered : new StorageIndex(events, TELLS_OF_LOOPS);
}
