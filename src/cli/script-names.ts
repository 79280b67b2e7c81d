import { readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

/** The directory in which libxl and other toolstacks look for hotplug scripts. */
export const SCRIPTS = '/etc/xen/scripts';
/** The compiled client, at the path where packages and `npm run install:dom0` install it. */
const CLIENT = '/usr/libexec/xen-blkback/block-diskseq';
const OWN = 'block-diskseq';

/**
 * Returns the name of our own hotplug script, and of the scripts that `divert` has replaced by it.
 */
export function listScriptNames(directory: string = SCRIPTS): string[] {
  return [OWN, ...readLinks(directory).filter((name) => name !== OWN)];
}

function readLinks(directory: string): string[] {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isSymbolicLink())
      .filter(({ name }) => readlinkSync(join(directory, name)) === CLIENT)
      .map(({ name }) => name)
      .sort();
  } catch {
    // The directory does not exist, or it changes at this moment.
    return [];
  }
}
