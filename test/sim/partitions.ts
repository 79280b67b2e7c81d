import type { Blkback } from './blkback.js';
import type { Checks } from './checks.js';
import type { Kernel } from './kernel/kernel.js';
import type { World } from './process.js';

const HALF = 1n << 29n;
/** The ways in which the disk is partitioned: the place of each partition. */
const LAYOUTS = [
  [
    { start: 0n, size: HALF },
    { start: HALF, size: HALF },
  ],
  [
    { start: HALF, size: HALF },
    { start: 0n, size: HALF },
  ],
  [{ start: 1n << 20n, size: 2n * HALF - (1n << 20n) }],
];
const [FIRST] = LAYOUTS;

/** Gives a disk two partitions, each with a half of it. */
export function partition(kernel: Kernel, layout: (typeof LAYOUTS)[number] = FIRST ?? []): void {
  const disk = kernel.disks.get('sda');
  if (disk === undefined) return;
  for (const part of kernel.partitionsOf(disk)) kernel.removeFromSysfs(part);
  for (const [index, place] of layout.entries()) kernel.addPartition(disk, index + 1, place);
}

/**
 * Partitions the disk in another way, as an administrator does who knows nothing of guests. The
 * kernel refuses this while a partition is open. Nobody may be about to open one by its number: the
 * partitions keep the sequence number of the disk, so that no program can prevent that.
 */
export function repartition(world: World, checks: Checks, blkback: Blkback): void {
  const { kernel, store, scheduler } = world;
  const disk = kernel.disks.get('sda');
  if (disk === undefined || kernel.partitionsOf(disk).some(({ opens }) => opens > 0)) return;
  const isNamed = [...store.nodes].some(
    ([path, { value }]) => path.endsWith('/physical-device') && /^8:[12]$/.test(value.toString()),
  );
  const isAwaited = [...blkback.instances.values()].some(({ number }) => number?.major === 8);
  if (isNamed || isAwaited) return;
  scheduler.tell('administrator', () => 'partitions sda anew');
  partition(kernel, scheduler.random.pick(LAYOUTS));
  for (const path of ['/dev/sda1', '/dev/sda2']) checks.onReplaced(path);
}
