import type { ExportRequest } from '../block/open-export.js';

/**
 * Compares the mode in which blkback has a device open with the one that was planned for. blkback
 * reads the mode by itself, and the toolstack may have changed it since. Returns `undefined` where
 * both let the guest write or both do not, or where nobody knows what blkback has open. Pure.
 */
export function otherOpenMode(
  openMode: string | undefined,
  { writable, drive }: Pick<ExportRequest, 'writable' | 'drive'>,
): { readonly found: string; readonly planned: string } | undefined {
  // The mode of a drive may have a `w`, although a drive is only read.
  const isPlanned = drive?.writable ?? writable;
  if (openMode === undefined || openMode.includes('w') === isPlanned) return undefined;
  const [found, planned] = isPlanned ? ['read-only', 'w'] : ['read-write', 'r'];
  return { found, planned };
}
