import { type Devnum, formatDevnum } from './devnum.js';
import { readMemoryFile } from './memory-file.js';

/** What udev has recorded of a block device when it last ran its rules for it (sd-device.c, v252). */
export interface UdevEntry {
  /** Links that lead to it, without `/dev/`. */
  readonly links: readonly string[];
  /** The name that a mapper device had then. */
  readonly mapperName: string | undefined;
}

/** Reads udev's entry of a block device, from memory; `undefined` where there is none, or no udev. */
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
