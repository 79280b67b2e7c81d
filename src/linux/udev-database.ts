import { type Devnum, formatDevnum } from './devnum.js';
import { readMemoryFile } from './memory-file.js';

/**
 * udev's record of a block device from the last run of its rules for the device (sd-device.c,
 * v252).
 */
export interface UdevEntry {
  /** The links to the device, without `/dev/`. */
  readonly links: readonly string[];
  /** The name that a mapper device had at that time. */
  readonly mapperName: string | undefined;
}

/**
 * Reads udev's entry of a block device from memory. Returns `undefined` if there is no entry or no
 * udev.
 */
export function readUdevEntry(devnum: Devnum): UdevEntry | undefined {
  try {
    const text = readMemoryFile(`/run/udev/data/b${formatDevnum(devnum)}`);
    return text === undefined ? undefined : parseUdevEntry(text);
  } catch {
    return undefined;
  }
}

/** Reads the text of an entry. Pure. */
export function parseUdevEntry(text: string): UdevEntry {
  const lines = text.split('\n');
  const after = (key: string): string[] =>
    lines.filter((line) => line.startsWith(key)).map((line) => line.slice(key.length));
  return { links: after('S:'), mapperName: after('E:DM_NAME=')[0] };
}
