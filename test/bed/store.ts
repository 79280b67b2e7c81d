import { openXenstore } from '../../src/xenstore/open.js';
import type { Xenstore } from '../../src/xenstore/xenstore.js';
import type { Bed } from './bed.js';

/** A client of the project's own on a bed's store, in this process. */
export async function openStore(bed: Pick<Bed, 'xenstored'>): Promise<Xenstore> {
  // The environment is asked at the moment of connecting.
  Object.assign(process.env, bed.xenstored.env);
  return await openXenstore();
}
