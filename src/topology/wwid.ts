import { readAttributeText } from './attribute-text.js';

/**
 * What a disk calls itself, in the whole world; empty where it does not say. SCSI has it with the device
 * behind the disk (from its page 0x83), NVMe with the disk.
 */
export function readWwid(directory: string): string {
  const text = readAttributeText(directory, 'device/wwid') || readAttributeText(directory, 'wwid');
  const wwid = text.replace(/\s+/g, ' ').trim();
  // Cheap adapters repeat what their maker made up, but the same disk has the same size.
  return wwid.startsWith('t10.') ? `${wwid} of ${readAttributeText(directory, 'size')}` : wwid;
}
