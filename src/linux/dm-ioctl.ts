// The encoding of struct dm_ioctl and of the data behind it (linux/dm-ioctl.h). Pure: from values
// to bytes, and back.

import { type Devnum, devnumFromStat } from './devnum.js';

/** The requests of /dev/mapper/control: `_IOWR(0xfd, nr, struct dm_ioctl)`. */
export const DM = {
  listDevices: { name: 'DM_LIST_DEVICES', number: 0xc138fd02 },
  create: { name: 'DM_DEV_CREATE', number: 0xc138fd03 },
  remove: { name: 'DM_DEV_REMOVE', number: 0xc138fd04 },
  suspend: { name: 'DM_DEV_SUSPEND', number: 0xc138fd06 },
  load: { name: 'DM_TABLE_LOAD', number: 0xc138fd09 },
  tableStatus: { name: 'DM_TABLE_STATUS', number: 0xc138fd0c },
} as const;

export const DM_FLAG = {
  readOnly: 1 << 0,
  suspended: 1 << 1,
  statusTable: 1 << 4,
  activePresent: 1 << 5,
  bufferFull: 1 << 8,
  noFlush: 1 << 11,
  secureData: 1 << 15,
  deferredRemove: 1 << 17,
  internalSuspend: 1 << 18,
} as const;

/** The size of struct dm_ioctl in bytes. The data begins after it. */
export const HEADER_SIZE = 312;
const AT = {
  ...{ version: 0, dataSize: 12, dataStart: 16, targetCount: 20, openCount: 24, flags: 28 },
  ...{ eventNr: 32, dev: 40, name: 48, uuid: 176 },
};
const NAME_SIZE = 128;
const UUID_SIZE = 129;
/**
 * The oldest version of the interface with everything that is used here. The kernel may have a
 * newer one.
 */
const VERSION = [4, 0, 0];

// struct dm_target_spec: u64 start, u64 length, s32 status, u32 next, char type[16]. The parameters
// follow.
const SPEC_SIZE = 40;
const SPEC = { start: 0, length: 8, next: 20, type: 24 };
const TYPE_SIZE = 16;

/** The header of a request. */
export interface DmHeader {
  readonly name?: string | undefined;
  readonly uuid?: string | undefined;
  readonly devnum?: Devnum | undefined;
  readonly flags: number;
  /** The rules that udev must not run: DM_UDEV_… of libdevmapper.h. */
  readonly udevFlags?: number | undefined;
}

/**
 * Encodes a request with room for `dataSize` bytes of data. Throws `RangeError` for a name or UUID
 * that is too long for the kernel.
 */
export function encodeDmRequest(header: DmHeader, dataSize: number): Buffer {
  const buffer = Buffer.alloc(HEADER_SIZE + dataSize);
  for (const [index, part] of VERSION.entries()) buffer.writeUInt32LE(part, AT.version + 4 * index);
  buffer.writeUInt32LE(buffer.length, AT.dataSize);
  buffer.writeUInt32LE(HEADER_SIZE, AT.dataStart);
  buffer.writeUInt32LE(header.flags, AT.flags);
  // drivers/md/dm-ioctl.c: the lower 16 bits are a cookie, with which a caller could wait for udev.
  buffer.writeUInt32LE((header.udevFlags ?? 0) * 0x10000, AT.eventNr);
  if (header.devnum !== undefined) buffer.writeBigUInt64LE(encodeDev(header.devnum), AT.dev);
  writeText(buffer, AT.name, NAME_SIZE, header.name ?? '');
  writeText(buffer, AT.uuid, UUID_SIZE, header.uuid ?? '');
  return buffer;
}

/** Encodes a device number like huge_encode_dev of linux/kdev_t.h. */
function encodeDev({ major, minor }: Devnum): bigint {
  const [high, low] = [BigInt(minor & ~0xff), BigInt(minor & 0xff)];
  return low | (BigInt(major) << 8n) | (high << 12n);
}

function writeText(buffer: Buffer, at: number, size: number, text: string): void {
  const bytes = Buffer.from(text, 'utf8');
  if (bytes.length >= size || bytes.includes(0)) {
    throw new RangeError(
      `${JSON.stringify(text)} is no name: ${size - 1} bytes at most, and no NUL`,
    );
  }
  bytes.copy(buffer, at);
}

/** The header of a reply, which describes a device. */
export interface DmReply {
  readonly devnum: Devnum;
  readonly name: string;
  readonly uuid: string;
  readonly flags: number;
  readonly openCount: number;
  readonly targetCount: number;
}

/** Decodes the header of a reply. */
export function decodeDmReply(buffer: Buffer): DmReply {
  return {
    devnum: devnumFromStat(buffer.readBigUInt64LE(AT.dev)),
    name: readText(buffer, AT.name, NAME_SIZE),
    uuid: readText(buffer, AT.uuid, UUID_SIZE),
    flags: buffer.readUInt32LE(AT.flags),
    openCount: buffer.readInt32LE(AT.openCount),
    targetCount: buffer.readUInt32LE(AT.targetCount),
  };
}

function readText(buffer: Buffer, at: number, size: number): string {
  const field = buffer.subarray(at, at + size);
  const end = field.indexOf(0);
  return field.toString('utf8', 0, end < 0 ? size : end);
}

/**
 * A line of a table. `params` may hold a key. It is a view of the reply, and the reader of the
 * reply wipes it.
 */
export interface RawTarget {
  readonly start: bigint;
  readonly length: bigint;
  readonly type: string;
  readonly params: Buffer;
}

/**
 * Decodes the table lines of a reply to DM_TABLE_STATUS. Positions in the reply count from the
 * start of the data.
 */
export function decodeTargets(buffer: Buffer, count: number): RawTarget[] {
  const data = buffer.subarray(buffer.readUInt32LE(AT.dataStart), buffer.readUInt32LE(AT.dataSize));
  const found: RawTarget[] = [];
  for (let at = 0; found.length < count && at + SPEC_SIZE <= data.length; ) {
    const spec = data.subarray(at);
    const end = spec.indexOf(0, SPEC_SIZE);
    found.push({
      start: spec.readBigUInt64LE(SPEC.start),
      length: spec.readBigUInt64LE(SPEC.length),
      type: readText(spec, SPEC.type, TYPE_SIZE),
      params: spec.subarray(SPEC_SIZE, end < 0 ? spec.length : end),
    });
    at = spec.readUInt32LE(SPEC.next);
  }
  return found;
}

/**
 * Encodes the request that loads a table of one line. `params` ends with a NUL. The caller must
 * wipe the result.
 */
export function encodeTable(header: DmHeader, target: RawTarget): Buffer {
  const size = Math.ceil((SPEC_SIZE + target.params.length) / 8) * 8;
  const buffer = encodeDmRequest(header, size);
  buffer.writeUInt32LE(1, AT.targetCount);
  const spec = buffer.subarray(HEADER_SIZE);
  spec.writeBigUInt64LE(target.start, SPEC.start);
  spec.writeBigUInt64LE(target.length, SPEC.length);
  spec.writeUInt32LE(size, SPEC.next);
  writeText(spec, SPEC.type, TYPE_SIZE, target.type);
  target.params.copy(spec, SPEC_SIZE);
  return buffer;
}

/**
 * Decodes the entries of a reply to DM_LIST_DEVICES: struct dm_name_list with u64 dev, u32 next,
 * name.
 */
export function decodeNames(buffer: Buffer): { devnum: Devnum; name: string }[] {
  const data = buffer.subarray(buffer.readUInt32LE(AT.dataStart), buffer.readUInt32LE(AT.dataSize));
  const found: { devnum: Devnum; name: string }[] = [];
  for (let at = 0; at + 12 < data.length; ) {
    const dev = data.readBigUInt64LE(at);
    // An empty list has a single entry without a device.
    if (dev === 0n) break;
    found.push({ devnum: devnumFromStat(dev), name: readText(data, at + 12, data.length) });
    const next = data.readUInt32LE(at + 8);
    if (next === 0) break;
    at += next;
  }
  return found;
}
