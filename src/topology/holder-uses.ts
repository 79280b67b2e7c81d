import { type MapperState, readMapper } from '../linux/device-mapper.js';
import { type Devnum, formatDevnum, sameDevnum } from '../linux/devnum.js';
import { isClaimedForLong } from './claims.js';
import type { DeviceMap } from './device-map.js';
import { familiarDevice } from './familiar-name.js';
import type { Access, LocalUse, Sought, UnexplainedUse } from './local-use.js';
import { readHolders, type StackedBlock } from './stacked-block.js';
import { findUntoldOpener } from './unexplained-openers.js';

/** A device that stands on another one. */
interface Stacked {
  readonly holder: Devnum;
  readonly lower: Devnum;
}

/**
 * Who uses the sought bytes through devices that stand on others. One that waits to be used is no use:
 * the partitions that kpartx has found, or a volume group that was activated and not mounted. Each
 * device is told once.
 */
export class HolderUses {
  readonly #map: DeviceMap;
  readonly #sought: Sought;
  readonly #named: readonly LocalUse[];
  readonly #seen = new Set<string>();

  /** @param named mounts and swap, which are told already. */
  constructor(map: DeviceMap, sought: Sought, named: readonly LocalUse[]) {
    this.#map = map;
    this.#sought = sought;
    this.#named = named;
  }

  /** What stands on a device. */
  list(lower: Devnum): Stacked[] {
    const block = this.#map.block(lower);
    return block ? readHolders(block).map((holder) => ({ holder, lower })) : [];
  }

  /** Whether a device is mounted, or used as swap. */
  isTold(devnum: Devnum): boolean {
    return this.#named.some((use) => use.devnum !== undefined && sameDevnum(use.devnum, devnum));
  }

  /** The uses made of the bytes through a device; `lower` is what it stands on, where one came by that. */
  async *of(holder: Devnum, lower?: Devnum): AsyncGenerator<LocalUse | UnexplainedUse> {
    const key = formatDevnum(holder);
    const block = this.#map.block(holder);
    if (block === undefined || this.#sought.known.has(key) || this.#seen.has(key)) return;
    this.#seen.add(key);
    // It has claimed all of the device, and may be known to use but a part of it.
    const reach = await this.#map.reach(holder);
    const isExact = lower === undefined || reach.stack.has(formatDevnum(lower));
    const access = block.readOnly ? 'read-only' : 'read-write';
    if (isExact && !this.#sought.clashes(access, reach.extents)) return;
    const mapper = block.kind === 'mapper' ? await readMapper({ devnum: holder }) : undefined;
    if (mapper === undefined || !isIdleUnlessOpen(mapper)) {
      yield this.#claim(block, access, lower ?? block.slaves[0], mapper);
      return;
    }
    const stacked = this.list(holder);
    for (const { holder: above } of stacked) yield* this.of(above, holder);
    if (this.isTold(holder) || this.#sought.isGuests(holder)) return;
    const opener = await findUntoldOpener(this.#map, mapper);
    if (opener !== undefined) yield opener;
    else if (stacked.length === 0 && (await this.#isClaimed(holder))) {
      yield { kind: 'claim', access, path: block.path, where: '', devnum: holder };
    }
  }

  #isClaimed(devnum: Devnum): Promise<boolean> {
    return isClaimedForLong(this.#map, devnum, this.#sought.signal);
  }

  #claim(
    block: StackedBlock,
    access: Access,
    lower: Devnum | undefined,
    mapper: MapperState | undefined,
  ): LocalUse {
    const below = lower && this.#map.block(lower);
    const path = below?.path ?? block.path;
    const holder = familiarDevice(block, mapper);
    return { kind: 'claim', access, path, where: block.path, devnum: block.devnum, holder };
  }
}

/**
 * Targets that do nothing by themselves, and lose nothing when what lies below changes. Mirrors copy,
 * pools and caches keep what they know in memory, and snapshots stand for what their origin was.
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

/** Whether a mapper device touches what it stands on only for those who have it open. Pure. */
export function isIdleUnlessOpen({ targets }: Pick<MapperState, 'targets'>): boolean {
  return targets.every(
    ({ type, params }) =>
      IDLE.includes(type) || (type === 'thin' && params.trim().split(' ').length < 3),
  );
}
