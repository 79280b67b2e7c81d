import { formatTable } from '../block/identity.js';
import { parseVerity, type VerityTable } from '../block/mapper/verity.js';
import { readMapper } from '../linux/device-mapper.js';
import { type Devnum, formatDevnum } from '../linux/devnum.js';
import type { MapperState } from '../linux/mapper-state.js';
import { readAttribute } from '../linux/sysfs.js';
import { readStackedBlock } from './stacked-block.js';

/** A block device and the devices below it, described for people. */
export interface DeviceStack {
  /** The kernel's name of the device, below /dev. */
  readonly path: string;
  readonly devnum: Devnum;
  /** The diskseq of the whole disk; `undefined` where the kernel has no such numbers. */
  readonly diskseq: bigint | undefined;
  /** Bytes. */
  readonly size: bigint;
  readonly readOnly: boolean;
  readonly kind: 'disk' | 'partition' | 'loop' | 'mapper';
  /** What the device is made of, in words. */
  readonly detail: string;
  readonly mapper: MapperState | undefined;
  readonly below: readonly DeviceStack[];
}

const SECTOR = 512n;

/**
 * Reads the stack below a device; `undefined` where the kernel has no device with that number.
 * Opens nothing, so the result may be out of date already.
 */
export async function readStack(devnum: Devnum): Promise<DeviceStack | undefined> {
  const block = readStackedBlock(devnum);
  if (block === undefined) return undefined;
  const { path, directory, diskseq, readOnly, kind, partition, slaves } = block;
  const mapper = kind === 'mapper' ? await readMapper({ devnum }) : undefined;
  const below = partition === undefined ? slaves : [partition.disk];
  const stacks = await Promise.all(below.map(readStack));
  return {
    path,
    devnum,
    diskseq,
    size: BigInt(readAttribute(directory, 'size') ?? 0) * SECTOR,
    readOnly,
    kind,
    detail: mapper
      ? describeMapper(mapper)
      : partition
        ? `from byte ${partition.start} on`
        : describeLoop(directory),
    mapper,
    below: stacks.filter((stack) => stack !== undefined),
  };
}

function describeLoop(directory: string): string {
  const [file, offset, autoclear] = ['backing_file', 'offset', 'autoclear'].map((name) =>
    readAttribute(directory, `loop/${name}`),
  );
  if (file === undefined) return '';
  return `over ${file}, from byte ${offset} on${autoclear === '1' ? ', clears itself' : ''}`;
}

function describeMapper(mapper: MapperState): string {
  const verity = parseVerity(mapper);
  return [
    `${mapper.name}${mapper.uuid && ` (UUID ${mapper.uuid})`}`,
    mapper.live ? '' : 'without a live table',
    mapper.suspended ? 'suspended' : '',
    mapper.deferredRemove ? 'goes with its last close' : '',
    verity
      ? `verity root ${verity.rootDigest}, ${describeCorruption(verity)}`
      : (formatTable(mapper) ?? ''),
  ]
    .filter((text) => text !== '')
    .join(', ');
}

function describeCorruption({ onCorruption, checksOnce }: VerityTable): string {
  const when = checksOnce ? ', at its first reading only' : '';
  return `a corrupt block leads to ${onCorruption}${when}`;
}

const KINDS = {
  disk: 'disk',
  partition: 'partition',
  loop: 'loop device',
  mapper: 'mapper device',
} as const;

/** Returns the stack as lines. Each device comes after the device that stands on it. */
export function formatStack(device: DeviceStack, depth = 0): string[] {
  const { kind, path, devnum, diskseq, size, readOnly, detail } = device;
  const facts = [
    `${KINDS[kind]} ${path} (${formatDevnum(devnum)})`,
    ...(diskseq === undefined ? [] : [`diskseq ${diskseq}`]),
    `${size} bytes`,
    ...(readOnly ? ['read-only'] : []),
    ...(detail === '' ? [] : [detail]),
  ];
  const line = `${'> '.repeat(depth)}${facts.join(', ')}`;
  return [line, ...device.below.flatMap((one) => formatStack(one, depth + 1))];
}
