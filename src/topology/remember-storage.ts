import { UeventSocket } from '../linux/uevents.js';
import { TELLS_OF_LOOPS } from './loop-backing.js';
import { type Surroundings, unremembered } from './nearby.js';
import { StorageIndex } from './storage-index.js';

/**
 * Returns surroundings for a process that answers many questions. They remember what devices stand
 * on, if the kernel tells about changes. Otherwise every question looks at every device.
 */
export function rememberStorage(): Surroundings {
  const events = UeventSocket.open();
  return events === undefined ? unremembered : new StorageIndex(events, TELLS_OF_LOOPS);
}
