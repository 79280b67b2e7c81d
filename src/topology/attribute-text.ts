import { throwShortage } from '../linux/errno.js';
import { readMemoryFile } from '../linux/memory-file.js';

/**
 * Reads the text of an attribute in sysfs. Returns an empty text where there is no such attribute,
 * or none any more. Throws as `readText` does.
 */
export function readAttributeText(directory: string, name: string): string {
  return readText(`${directory}/${name}`);
}

/**
 * Reads the text of a file in sysfs or procfs, or an empty text where the file cannot be read.
 * Throws `SystemError` for want of descriptors or memory only.
 */
export function readText(file: string): string {
  try {
    return readMemoryFile(file)?.trimEnd() ?? '';
  } catch (error) {
    throwShortage('read', file, error);
    return '';
  }
}
