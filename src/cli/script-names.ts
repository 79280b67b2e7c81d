import { readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

/** Where libxl and others look for hotplug scripts. */
const SCRIPTS = '/etc/xen/scripts';
/** The compiled client as packages and `npm run install:dom0` put it in place. */
const CLIENT = '/usr/libexec/xen-blkback/block-diskseq';
const OWN = 'block-diskseq';

/** Names of hotplug scripts that are ours: its own one, and those that `divert` has given to it. */
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
    // Nothing is installed there, or it changes at this moment.
    return [];
  }
}
