import type { DeviceMap, Reach } from '../../block/device-map.js';
import { overlap } from '../../block/extent.js';
import { type Access, findLocalUses, type LocalUse } from '../../block/local-uses.js';
import type { Devnum } from '../../linux/devnum.js';
import type { Publications, VbdPublication } from '../../xenstore/publications.js';
import { type DomainIdentity, isSameVm, readDomains } from '../../xenstore/same-vm.js';
import type { VbdPath } from '../../xenstore/vbd-path.js';
import type { Xenstore } from '../../xenstore/xenstore.js';
import { parsePublished } from '../published-device.js';
import type { ExportUse } from './export-use.js';
import { accessOf, mayShare } from './matrix.js';

/** Another guest's vbd that has some of the bytes. */
export interface GuestUse {
  readonly kind: 'guest';
  readonly access: Access;
  readonly vbd: VbdPath;
  readonly domain: DomainIdentity;
  /** Its device: the kernel's name of it, and its number. */
  readonly path: string;
  readonly devnum: Devnum;
}

/** A use that forbids the export. */
export type Rival = GuestUse | LocalUse;

export interface Surroundings {
  readonly store: Xenstore;
  readonly publications: Publications;
  /** The vbd that is being attached: what stands there already is its own. */
  readonly own: VbdPath | undefined;
  readonly signal: AbortSignal;
}

/** Finds the uses that forbid an export, guests first. Throws as the store and the kernel do. */
export async function* findRivals(
  wanted: ExportUse,
  { map, reach }: { readonly map: DeviceMap; readonly reach: Reach },
  around: Surroundings,
): AsyncGenerator<Rival> {
  const readers = !mayShare(wanted.sharing, wanted.access, 'read-only');
  if (!readers && mayShare(wanted.sharing, wanted.access, 'read-write')) return;
  const known = new Set(reach.stack);
  const guests: GuestCandidate[] = [];
  for (const publication of await around.publications.list({ signal: around.signal })) {
    const device = parsePublished(publication);
    if (device === undefined) continue;
    const access = accessOf(publication.mode);
    if (isOwn(publication, around.own) || (access === 'read-only' && !readers)) continue;
    const block = map.block(device.devnum);
    // Stale: nothing, or another device has the number now.
    if (block === undefined || (device.diskseq ?? block.diskseq) !== block.diskseq) continue;
    const theirs = await map.reach(device.devnum);
    if (!overlap(theirs.extents, reach.extents)) continue;
    guests.push({ vbd: publication.vbd, access, path: block.path, devnum: device.devnum, theirs });
  }
  const domains = await identify(wanted, guests, around);
  const self = wanted.domid === undefined ? undefined : domains.get(wanted.domid);
  for (const { theirs, ...guest } of guests) {
    const domain = domains.get(guest.vbd.domid);
    if (domain === undefined) continue;
    // Claims within its stack are its own, and need no further explanation.
    for (const device of theirs.stack) known.add(device);
    if (self === undefined || !isSameVm(self, domain)) yield { kind: 'guest', ...guest, domain };
  }
  const { extents, unclaimed } = reach;
  yield* findLocalUses(map, { extents, unclaimed, known, readers, signal: around.signal });
}

type GuestCandidate = Omit<GuestUse, 'kind' | 'domain'> & { readonly theirs: Reach };

function isOwn({ vbd }: VbdPublication, own: VbdPath | undefined): boolean {
  return vbd.domid === own?.domid && vbd.devid === own.devid;
}

async function identify(
  { domid }: ExportUse,
  guests: readonly GuestCandidate[],
  { store, signal }: Surroundings,
): Promise<Map<number, DomainIdentity>> {
  if (guests.length === 0) return new Map();
  const domids = new Set(guests.map(({ vbd }) => vbd.domid));
  if (domid !== undefined) domids.add(domid);
  const domains = await readDomains(store, [...domids], { signal });
  return new Map(domains.map((domain) => [domain.domid, domain]));
}
