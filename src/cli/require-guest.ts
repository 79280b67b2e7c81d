import { HotplugError } from '../hotplug/hotplug-error.js';
import { quote } from '../util/one-line.js';
import { listNumbers } from '../vbd/list-vbds.js';
import { readDomainNames } from '../vbd/summarize-vbd.js';
import type { RequestOptions, Xenstore } from '../xenstore/xenstore.js';
import { isXenstoreError } from '../xenstore/xenstore-error.js';

/**
 * Throws `EDOMAIN` unless there is a guest with this number or name, so that a mistyped name does
 * not look like a guest without vbds. A driver domain may not look at other domains, and takes each
 * number for that of a guest.
 */
export async function requireGuest(
  store: Xenstore,
  guest: string,
  options: RequestOptions,
): Promise<void> {
  try {
    if (/^\d+$/.test(guest) && (await isDomain(store, guest, options))) return;
    const domids = await listNumbers(store, '/local/domain', options);
    const names = await readDomainNames(store, new Set(domids.map(Number)), options);
    if ([...names.values()].includes(guest)) return;
  } catch (error) {
    if (!isXenstoreError(error, 'EACCES')) throw error;
  }
  throw new HotplugError(
    `there is no guest ${quote(guest)}: the number or the name of a guest is needed (xl list)`,
    { code: 'EDOMAIN' },
  );
}

/** Throws `EDOMAIN` unless there is a domain with this number, as `requireGuest` does. */
export async function requireDomain(
  store: Xenstore,
  domid: number,
  options: RequestOptions,
): Promise<void> {
  if (await isDomain(store, String(domid), options)) return;
  throw new HotplugError(`there is no domain ${domid} (xl list)`, { code: 'EDOMAIN' });
}

async function isDomain(store: Xenstore, domid: string, options: RequestOptions): Promise<boolean> {
  try {
    const [value] = await store.readMany([`/local/domain/${Number(domid)}`], options);
    return value !== undefined;
  } catch (error) {
    if (isXenstoreError(error, 'EACCES')) return true;
    throw error;
  }
}
