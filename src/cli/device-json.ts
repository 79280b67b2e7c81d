import { formatDevnum } from '../linux/devnum.js';
import type { DeviceStack } from '../topology/stack.js';

/** Returns the JSON of a device and of all devices below it. */
export function stackToJson(device: DeviceStack): Record<string, unknown> {
  const { path, devnum, kind, diskseq, size, readOnly, detail, mapper, below } = device;
  return {
    path,
    devnum: formatDevnum(devnum),
    kind,
    diskseq: diskseq === undefined ? null : String(diskseq),
    size: String(size),
    'read-only': readOnly,
    detail,
    'dm-name': mapper?.name ?? null,
    'dm-uuid': mapper?.uuid ?? null,
    below: below.map(stackToJson),
  };
}
