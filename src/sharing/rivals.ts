import type { Devnum } from '../linux/devnum.js';
import { type DeviceMap, hasBase, type Reach } from '../topology/device-map.js';
import { type Access, findLocalUses, type LocalUse } from '../topology/local-uses.js';
import { knownFileOfLoop } from '../topology/loop-backing.js';
import { breathe } from '../util/breathe.js';
import type { Publications, VbdPublication } from '../vbd/publications.js';
import { type PublishedDevice, parsePublished } from '../vbd/published-device.js';
import type { VbdPath } from '../vbd/vbd-path.js';
import type { Xenstore } from '../xenstore/xenstore.js';
import type { ExportUse } from './export-use.js';
import { accessOf, mayShare } from './matrix.js';
import { type DomainIdentity, isSameVm, readDomains } from './same-vm.js';

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
  const publications = await around.publications.list(readers, { signal: around.signal });
  // It takes a moment for each vbd there is.
  await breathe();
  const looks = publications.map(async (publication): Promise<GuestCandidate | undefined> => {
    const device = parsePublished(publication);
    const access = accessOf(publication.mode);
    if (device === undefined || isOwn(publication, around.own)) return undefined;
    if (access === 'read-only' && !readers) return undefined;
    // Either it still stands on that other file, or it is stale: no need to ask which.
    const file = await knownFileOfLoop(device.devnum, device.diskseq);
    if (file !== undefined && !hasBase(reach.extents, file)) return undefined;
    if (isStale(map, device)) return undefined;
    const theirs = await map.reachWithin(device.devnum, reach.extents);
    const path = theirs && map.block(device.devnum)?.path;
    if (theirs === undefined || path === undefined) return undefined;
    return { vbd: publication.vbd, access, path, devnum: device.devnum, theirs };
  });
  const guests = (await Promise.all(looks)).filter((guest) => guest !== undefined);
  const domains = await identify(wanted, guests, around);
  const self = wanted.domid === undefined ? undefined : domains.get(wanted.domid);
  for (const { theirs, ...guest } of guests) {
    const domain = domains.get(guest.vbd.domid);
    if (domain === undefined) continue;
    // Claims within its stack are its own, and need no further explanation.
    for (const device of theirs.stack) known.add(device);
    if (self === undefined || !isSameVm(self, domain)) yield { kind: 'guest', ...guest, domain };
  }
  yield* findLocalUses(map, { ...reach, known, readers, signal: around.signal });
}

/** Whether the number is another device's by now. Where nobody wrote which one it was, it counts. */
function isStale(
  map: DeviceMap,
  { devnum, diskseq }: Pick<PublishedDevice, 'devnum' | 'diskseq'>,
): boolean {
  return diskseq !== undefined && diskseq !== map.diskseq(devnum);
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
