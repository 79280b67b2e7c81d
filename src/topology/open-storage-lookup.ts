import { UeventSocket } from '../linux/uevents.js';
import { SENDS_LOOP_EVENTS } from './loop-backing.js';
import { StorageIndex } from './storage-index.js';
import { directLookup, type StorageLookup } from './storage-lookup.js';

/**
 * Returns a look-up for a process that answers many questions. It remembers what devices stand on,
 * if the kernel tells about changes. Otherwise every question looks at every device.
 */
export function openStorageLookup(): StorageLookup {
  const events = UeventSocket.open();
  return events === undefined ? directLookup : new StorageIndex(events, SENDS_LOOP_EVENTS);
}
