import { readAttributeText } from './attribute-text.js';

/**
 * Reads the name that a disk gives itself, unique in the whole world; empty where it has none. A
 * SCSI disk has the name with the device behind the disk (from its page 0x83), an NVMe disk with
 * the disk itself.
 */
export function readWwid(directory: string): string {
  const text = readAttributeText(directory, 'device/wwid') || readAttributeText(directory, 'wwid');
  const wwid = text.replace(/\s+/g, ' ').trim();
  // Cheap adapters repeat a name that their maker made up, so the size is added to it. The same
  // disk always has the same size.
  return wwid.startsWith('t10.') ? `${wwid} of ${readAttributeText(directory, 'size')}` : wwid;
}
