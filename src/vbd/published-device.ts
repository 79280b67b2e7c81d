import type { Devnum } from '../linux/devnum.js';
import { quote } from '../util/one-line.js';
import { scanDevnum } from './scan-devnum.js';
import type { VbdBackend } from './vbd-backend.js';
import { VbdError } from './vbd-error.js';
import type { VbdPath } from './vbd-path.js';

/** The device that a backend directory names to blkback. */
export interface PublishedDevice {
  readonly devnum: Devnum;
  /** `undefined` where the program that published the device gave none. */
  readonly diskseq: bigint | undefined;
  readonly path: string | undefined;
}

/**
 * Reads `physical-device` and its companion nodes in either dialect. Returns `undefined` if there
 * is no `physical-device`. Throws `EPUBLISHED` if it names no device.
 */
export function readPublishedDevice(
  vbd: VbdPath,
  backend: VbdBackend,
): PublishedDevice | undefined {
  const text = backend.bytes('physical-device')?.toString('latin1');
  if (text === undefined) return undefined;
  const device = parsePublishedDevice({ physicalDevice: text, diskseq: backend.text('diskseq') });
  if (device === undefined) {
    throw new VbdError(
      `${vbd.backend}/physical-device is ${quote(text)}, which names no device to blkback`,
      { code: 'EPUBLISHED' },
    );
  }
  return { ...device, path: backend.text('physical-device-path') };
}

/**
 * Reads the values of `physical-device` and `diskseq` as blkback does. The first one holds a
 * character for each byte (latin1). Returns `undefined` where the values name no device.
 */
export function parsePublishedDevice(nodes: {
  readonly physicalDevice: string;
  readonly diskseq: string | undefined;
}): Omit<PublishedDevice, 'path'> | undefined {
  const [, inline, number = ''] = /^(?:([0-9a-f]{1,16})@)?(.*)$/s.exec(nodes.physicalDevice) ?? [];
  const devnum = scanDevnum(number);
  if (devnum === undefined) return undefined;
  const hex = nodes.diskseq ?? inline;
  const diskseq = hex && /^[1-9a-f][0-9a-f]{0,15}$/.test(hex) ? BigInt(`0x${hex}`) : undefined;
  return { devnum, diskseq };
}

/** Reads the same nodes leniently: returns `undefined` for a value that names no device. */
export function tryReadPublishedDevice(
  vbd: VbdPath,
  backend: VbdBackend,
): PublishedDevice | undefined {
  try {
    return readPublishedDevice(vbd, backend);
  } catch {
    return undefined;
  }
}
