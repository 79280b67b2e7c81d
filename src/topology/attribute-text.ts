import { throwShortage } from '../linux/errno.js';
import { readMemoryFile } from '../linux/memory-file.js';

/** The text of an attribute in sysfs; empty where there is none, or not any more. */
export function readAttributeText(directory: string, name: string): string {
  return readText(`${directory}/${name}`);
}

/** The same by its path. Throws `SystemError` for want of descriptors or memory only. */
export function readText(file: string): string {
  try {
    return readMemoryFile(file)?.trimEnd() ?? '';
  } catch (error) {
    throwShortage('read', file, error);
    return '';
  }
}
