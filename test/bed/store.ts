import { openXenstore } from '../../src/xenstore/open.js';
import type { Xenstore } from '../../src/xenstore/xenstore.js';
import type { Bed } from './bed.js';

/** Connects the project's own client to the store of a bed, in this process. */
export async function openStore(bed: Pick<Bed, 'xenstored'>): Promise<Xenstore> {
  // The client reads the environment when it connects.
  Object.assign(process.env, bed.xenstored.env);
  return await openXenstore();
}
