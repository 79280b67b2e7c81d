import { type Devnum, formatDevnum, sameDevnum } from '../linux/devnum.js';
import type { MapperState } from '../linux/mapper-state.js';
import { staysExclusivelyOpen } from './exclusive-opens.js';
import { familiarDevice } from './familiar-name.js';
import type { Access, ConflictQuery, LocalUse, UnexplainedUse } from './local-use.js';
import { readHolders, type StackedBlock } from './stacked-block.js';
import type { StorageSnapshot } from './storage-snapshot.js';
import { findUnlistedOpener } from './unexplained-openers.js';

/** A device that stands on another device. */
interface Stacked {
  readonly holder: Devnum;
  readonly lower: Devnum;
}

/**
 * A search for uses of the queried bytes through devices that stand on other devices. Each device is
 * reported once.
 *
 * A device that merely waits to be used is no use. Examples are the partitions that kpartx has
 * found, and the volumes of a volume group that was activated and not mounted.
 */
export class HolderUses {
  readonly #snapshot: StorageSnapshot;
  readonly #query: ConflictQuery;
  readonly #named: readonly LocalUse[];
  readonly #seen = new Set<string>();

  /** @param named mounts and swap, which are reported already. */
  constructor(snapshot: StorageSnapshot, query: ConflictQuery, named: readonly LocalUse[]) {
    this.#snapshot = snapshot;
    this.#query = query;
    this.#named = named;
  }

  /** Returns the devices that stand directly on a device. */
  listOn(lower: Devnum): Stacked[] {
    const block = this.#snapshot.block(lower);
    return block ? readHolders(block).map((holder) => ({ holder, lower })) : [];
  }

  /** Returns whether a device is mounted or used as swap, which is reported already. */
  isReported(devnum: Devnum): boolean {
    return this.#named.some((use) => use.devnum !== undefined && sameDevnum(use.devnum, devnum));
  }

  /**
   * Yields the uses of the bytes through a device. `lower` is the device below through which the
   * caller has found it, if there is one.
   */
  async *find(holder: Devnum, lower?: Devnum): AsyncGenerator<LocalUse | UnexplainedUse> {
    const key = formatDevnum(holder);
    const block = this.#snapshot.block(holder);
    if (block === undefined || this.#query.known.has(key) || this.#seen.has(key)) return;
    this.#seen.add(key);
    // The device has claimed all of the lower device, even if it is known to use only a part of it.
    const reach = await this.#snapshot.reach(holder);
    const isExact = lower === undefined || reach.stack.has(formatDevnum(lower));
    const access = block.readOnly ? 'read-only' : 'read-write';
    if (isExact && !this.#query.clashes(access, reach.extents)) return;
    const mapper = block.kind === 'mapper' ? await this.#snapshot.mapper(holder) : undefined;
    if (mapper === undefined || !isIdleUnlessOpen(mapper)) {
      yield this.#claim(block, access, lower ?? block.slaves[0], mapper);
      return;
    }
    const stacked = this.listOn(holder);
    for (const { holder: above } of stacked) yield* this.find(above, holder);
    if (this.isReported(holder) || this.#query.isGuests(holder)) return;
    const opener = await findUnlistedOpener(this.#snapshot, mapper);
    if (opener !== undefined) yield opener;
    else if (stacked.length === 0 && (await this.#isClaimed(holder))) {
      yield { kind: 'claim', access, path: block.path, where: '', devnum: holder };
    }
  }

  #isClaimed(devnum: Devnum): Promise<boolean> {
    return staysExclusivelyOpen(this.#snapshot, devnum, this.#query.signal);
  }

  #claim(
    block: StackedBlock,
    access: Access,
    lower: Devnum | undefined,
    mapper: MapperState | undefined,
  ): LocalUse {
    const below = lower && this.#snapshot.block(lower);
    const path = below?.path ?? block.path;
    const holder = familiarDevice(block, mapper);
    return { kind: 'claim', access, path, where: block.path, devnum: block.devnum, holder };
  }
}

/**
 * Targets that do nothing by themselves and lose nothing when the bytes below change. Other targets
 * are not idle: mirrors copy, pools and caches keep their knowledge in memory, and snapshots
 * preserve what their origin was.
 */
const IDLE: readonly string[] = [
  'linear',
  'striped',
  'crypt',
  'verity',
  'delay',
  'flakey',
  'multipath',
  'snapshot-origin',
  'zero',
  'error',
];

/**
 * Returns whether a mapper device touches the devices below only for those who have it open. Pure.
 */
export function isIdleUnlessOpen({ targets }: Pick<MapperState, 'targets'>): boolean {
  return targets.every(
    ({ type, params }) =>
      IDLE.includes(type) || (type === 'thin' && params.trim().split(' ').length < 3),
  );
}
