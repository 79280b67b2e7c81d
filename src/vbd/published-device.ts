import type { Devnum } from '../linux/devnum.js';
import { quote } from '../util/one-line.js';
import { scanDevnum } from './scan-devnum.js';
import type { VbdBackend } from './vbd-backend.js';
import { VbdError } from './vbd-error.js';
import type { VbdPath } from './vbd-path.js';

/** The device that a backend directory names to blkback. */
export interface PublishedDevice {
  readonly devnum: Devnum;
  /** `undefined` where whoever published it gave none. */
  readonly diskseq: bigint | undefined;
  readonly path: string | undefined;
}

/** Reads `physical-device` and its companions in either dialect; `undefined` if there is none. */
export function readPublished(vbd: VbdPath, backend: VbdBackend): PublishedDevice | undefined {
  const text = backend.bytes('physical-device')?.toString('latin1');
  if (text === undefined) return undefined;
  const device = parsePublished({ physicalDevice: text, diskseq: backend.text('diskseq') });
  if (device === undefined) {
    throw new VbdError(
      `${vbd.backend}/physical-device is ${quote(text)}, which names no device to blkback`,
      { code: 'EPUBLISHED' },
    );
  }
  return { ...device, path: backend.text('physical-device-path') };
}

/**
 * Reads the values of `physical-device` and `diskseq`, a character for each byte (latin1), as blkback
 * would; `undefined` for what names no device.
 */
export function parsePublished(nodes: {
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

/** The same, where a value that names no device is as good as none. */
export function readPublishedLeniently(
  vbd: VbdPath,
  backend: VbdBackend,
): PublishedDevice | undefined {
  try {
    return readPublished(vbd, backend);
  } catch {
    return undefined;
  }
}
