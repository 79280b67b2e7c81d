import type { Devnum } from '../../src/linux/devnum.js';
import type { DeviceMapper, MapperName } from './kernel/device-mapper.js';
import { EINVAL, ENOTTY, ENXIO, Errno } from './kernel/kernel.js';
import type { MappedDevice } from './kernel/nodes.js';
import type { SimulatedProcess } from './process.js';

// struct dm_ioctl and struct dm_target_spec of linux/dm-ioctl.h.
const HEADER = 312;
const AT = {
  ...{ dataSize: 12, dataStart: 16, targetCount: 20, openCount: 24, flags: 28, dev: 40 },
  ...{ name: 48, uuid: 176, end: 305 },
};
const SPEC = 40;
const [READ_ONLY, SUSPENDED, ACTIVE, INACTIVE] = [1, 2, 1 << 5, 1 << 6];
const [BUFFER_FULL, DEFERRED] = [1 << 8, 1 << 17];

/** Carries out ioctl(2) on the control node of device-mapper. */
export function mapperIoctl(process: SimulatedProcess, request: number, buffer: Buffer): number {
  const { kernel, scheduler } = process.world;
  const { mapper } = kernel;
  if (mapper === undefined) throw new Errno(ENOTTY);
  const tell = (what: () => string): void => scheduler.tell(process.name, what);
  const flags = buffer.readUInt32LE(AT.flags);
  const device = (): MappedDevice => mapper.require(nameIn(buffer));
  switch (request) {
    case 0xc138fd02: // DM_LIST_DEVICES
      return fillNames(mapper, buffer);
    case 0xc138fd03: {
      // DM_DEV_CREATE
      const [name, uuid] = [textAt(buffer, AT.name), textAt(buffer, AT.uuid)];
      const made = mapper.create(name, uuid);
      tell(() => `makes mapper device ${name}, 253:${made.devnum.minor}`);
      return fillHeader(made, buffer);
    }
    case 0xc138fd04: {
      // DM_DEV_REMOVE
      const found = device();
      tell(() => `${flags & DEFERRED ? 'marks for removal' : 'removes'} ${found.name}`);
      process.world.onMapperRemoval(found);
      mapper.remove(found, (flags & DEFERRED) !== 0);
      return 0;
    }
    case 0xc138fd06: {
      // DM_DEV_SUSPEND
      const found = device();
      if (flags & SUSPENDED) mapper.suspend(found);
      else mapper.resume(found);
      return fillHeader(found, buffer);
    }
    case 0xc138fd09: // DM_TABLE_LOAD
      return load(process, mapper, device(), buffer);
    case 0xc138fd0c: {
      // DM_TABLE_STATUS
      const found = device();
      found.seen.set(process, [...(found.seen.get(process) ?? []), found.live]);
      return fillTable(found, buffer);
    }
    default:
      throw new Errno(ENOTTY);
  }
}

function textAt(buffer: Buffer, at: number): string {
  return buffer.toString('latin1', at, buffer.indexOf(0, at));
}

/** Reads which device is meant (dm-ioctl.c, __find_device_hash_cell). */
function nameIn(buffer: Buffer): MapperName {
  const [name, uuid] = [textAt(buffer, AT.name), textAt(buffer, AT.uuid)];
  const dev = buffer.readBigUInt64LE(AT.dev);
  if (name !== '' && uuid !== '') throw new Errno(EINVAL);
  if ((name !== '' || uuid !== '') && dev !== 0n) throw new Errno(ENXIO);
  if (uuid !== '') return { uuid };
  return name === '' ? { devnum: devnumOf(dev) } : { name };
}

/** Reads a number of linux/kdev_t.h, huge_encode_dev. All numbers here are below 256. */
function devnumOf(dev: bigint): Devnum {
  return { major: Number((dev >> 8n) & 0xfffn), minor: Number(dev & 0xffn) };
}

function encode({ major, minor }: Devnum): bigint {
  return BigInt((major << 8) | minor);
}

function load(
  process: SimulatedProcess,
  mapper: DeviceMapper,
  device: MappedDevice,
  buffer: Buffer,
): number {
  const spec = buffer.subarray(buffer.readUInt32LE(AT.dataStart));
  const type = textAt(spec, 24);
  const params = Buffer.from(spec.subarray(SPEC, spec.indexOf(0, SPEC)));
  const words = params.toString('latin1').split(' ');
  const [major, minor] = (words[type === 'crypt' ? 3 : 0] ?? '').split(':').map(Number);
  const lower = process.world.kernel.findDisk({ major: major ?? -1, minor: minor ?? -1 });
  const readOnly = (buffer.readUInt32LE(AT.flags) & READ_ONLY) !== 0;
  mapper.load(device, { length: spec.readBigUInt64LE(8), type, params, readOnly }, lower);
  process.world.scheduler.tell(process.name, () => `puts ${device.name} on ${lower?.name}`);
  return fillHeader(device, buffer);
}

/** Does the work of __dev_status. */
function fillHeader(device: MappedDevice, buffer: Buffer): number {
  const { name, uuid, disk, live, inactive, isSuspended, isDeferred, devnum } = device;
  const kept = buffer.readUInt32LE(AT.flags) & ~(READ_ONLY | SUSPENDED | ACTIVE | INACTIVE);
  const found =
    (disk?.readOnly && live ? READ_ONLY : 0) |
    (isSuspended ? SUSPENDED : 0) |
    (live ? ACTIVE : 0) |
    (inactive ? INACTIVE : 0) |
    (isDeferred ? DEFERRED : 0);
  buffer.writeUInt32LE((kept | found) >>> 0, AT.flags);
  buffer.writeUInt32LE(live ? 1 : 0, AT.targetCount);
  buffer.writeInt32LE(disk?.opens ?? 0, AT.openCount);
  buffer.writeBigUInt64LE(encode(devnum), AT.dev);
  buffer.fill(0, AT.name, AT.end);
  buffer.write(name, AT.name, 'latin1');
  buffer.write(uuid, AT.uuid, 'latin1');
  return 0;
}

/** Fills a reply to DM_TABLE_STATUS. Only tables are asked for, and never what they do. */
function fillTable(device: MappedDevice, buffer: Buffer): number {
  fillHeader(device, buffer);
  const { live } = device;
  if (live === undefined) return 0;
  const { length, type, params } = live;
  const size = Math.ceil((SPEC + params.length + 1) / 8) * 8;
  return fillData(buffer, size, (data) => {
    data.writeBigUInt64LE(length, 8);
    data.writeUInt32LE(size, 20);
    data.write(type, 24, 'latin1');
    params.copy(data, SPEC);
  });
}

/** Fills a reply with a struct dm_name_list for each device, in the order of their names. */
function fillNames({ devices }: DeviceMapper, buffer: Buffer): number {
  const sorted = [...devices].sort((a, b) => (a.name < b.name ? -1 : 1));
  const sizes = sorted.map(({ name }) => Math.ceil((12 + name.length + 1) / 8) * 8 + 8);
  const total = sizes.reduce((sum, size) => sum + size, 0) || 16;
  return fillData(buffer, total, (data) => {
    let at = 0;
    for (const [index, { devnum, name }] of sorted.entries()) {
      data.writeBigUInt64LE(encode(devnum), at);
      data.writeUInt32LE(index + 1 < sorted.length ? (sizes[index] ?? 0) : 0, at + 8);
      data.write(name, at + 12, 'latin1');
      at += sizes[index] ?? 0;
    }
  });
}

/** Fills the data of a reply, or says that there is no room for it. */
function fillData(buffer: Buffer, size: number, fill: (data: Buffer) => void): number {
  if (HEADER + size > buffer.length) {
    buffer.writeUInt32LE((buffer.readUInt32LE(AT.flags) | BUFFER_FULL) >>> 0, AT.flags);
    return 0;
  }
  const data = buffer.subarray(HEADER, HEADER + size);
  data.fill(0);
  fill(data);
  buffer.writeUInt32LE(HEADER, AT.dataStart);
  buffer.writeUInt32LE(HEADER + size, AT.dataSize);
  return 0;
}
