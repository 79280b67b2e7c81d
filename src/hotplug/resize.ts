import { resizeLoop } from '../block/loop/resize-loop.js';
import { layerBase } from '../block/mapper/release-layer.js';
import { resizeMapper } from '../linux/device-mapper.js';
import { type Devnum, formatDevnum } from '../linux/devnum.js';
import type { MapperState } from '../linux/mapper-state.js';
import { readAttribute } from '../linux/sysfs.js';
import type { SameVmRule } from '../sharing/same-vm.js';
import { requireOwnDomain } from '../vbd/own-domain.js';
import type { VbdPath } from '../vbd/vbd-path.js';
import type { Xenstore } from '../xenstore/xenstore.js';
import { Deadline } from './deadline.js';
import { collectDetachment } from './detachment.js';
import { HotplugError } from './hotplug-error.js';
import { type NewSize, resizeFile } from './resize-file.js';

/** The options of a resize. */
export interface ResizeOptions {
  /** The time for everything; milliseconds. */
  readonly timeoutMs: number;
  /** The root of sysfs, below which the xen-backend bus is looked for. */
  readonly sysfs: string;
  readonly runDirectory: string;
  /** The size that the file of the disk gets. Without it, the disk follows what it stands on. */
  readonly size?: NewSize | undefined;
  readonly sameVm?: SameVmRule | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The result of a resize. */
export interface ResizeResult {
  readonly backend: string;
  /** The size that the guest's disk has now. */
  readonly bytes: bigint;
}

const SECTOR = 512n;

/**
 * Makes the disk of an attached vbd as large as what it stands on is by now. With `size`, first
 * gives the file of the disk that size. Resizes the loop device that was made for the vbd to the
 * size of its file, and then the vbd's layer. The kernel does neither by itself. blkback notices
 * the new size within 100 ms and tells the guest (xen_vbd_resize). Throws `ENOTOPEN` where blkback
 * has no device open for the vbd, `EWINDOW` where a layer cannot have the new size, and as
 * `resizeFile` does.
 */
export async function resize(
  store: Xenstore,
  vbd: VbdPath,
  options: ResizeOptions,
): Promise<ResizeResult> {
  using deadline = new Deadline(options.timeoutMs, options.signal);
  const { signal } = deadline;
  await requireOwnDomain(store, vbd, { signal });
  const detachment = await collectDetachment(store, vbd, options, { signal });
  const { directory, open, layers, loop } = detachment;
  await using _directory = directory;
  if (open === undefined) {
    throw new HotplugError(`blkback has no device open for ${vbd.sysfsName}: there is no disk`, {
      code: 'ENOTOPEN',
    });
  }
  if (options.size !== undefined) {
    const shrinkLayers = async (bytes: bigint): Promise<void> => {
      for (const layer of [...layers].reverse()) {
        await resizeMapper(layer.name, bytes / SECTOR, signal);
      }
    };
    const sameVm = options.sameVm ?? 'check';
    const file = { store, detachment, place: options, sameVm, shrinkLayers, signal };
    await resizeFile(file, options.size);
  } else if (loop !== undefined) await resizeLoop(loop, signal);
  for (const layer of layers) await followBase(layer, signal);
  return { backend: vbd.backend, bytes: readSectors(open) * SECTOR };
}

async function followBase(layer: MapperState, signal: AbortSignal): Promise<void> {
  const base = layerBase(layer);
  if (base === undefined) return;
  const sectors = readSectors(base);
  if (sectors === layer.targets[0]?.length) return;
  const block = BigInt(readBlockAttribute(base, 'queue/logical_block_size') ?? SECTOR);
  const bytes = sectors * SECTOR;
  if (bytes === 0n || bytes % block !== 0n) {
    throw new HotplugError(
      `device ${formatDevnum(base)} has ${bytes} bytes now: a layer needs at least one block of ${block} bytes, and no part of one`,
      { code: 'EWINDOW' },
    );
  }
  await resizeMapper(layer.name, sectors, signal);
}

function readSectors(devnum: Devnum): bigint {
  const text = readBlockAttribute(devnum, 'size');
  if (text !== undefined) return BigInt(text);
  throw new HotplugError(`device ${formatDevnum(devnum)} has vanished`, { code: 'ENXIO' });
}

function readBlockAttribute(devnum: Devnum, name: string): string | undefined {
  return readAttribute(`/sys/dev/block/${formatDevnum(devnum)}`, name);
}
