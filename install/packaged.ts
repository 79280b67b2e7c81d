import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { errorCode } from '../src/errors.js';
import { below } from './manifest.js';
import { exists } from './place.js';
import { CLIENT, LIBRARY } from './tree.js';

const DPKG = '/var/lib/dpkg/info';
const RPM = ['/var/lib/rpm', '/usr/lib/sysimage/rpm'];

/**
 * Throws if a package manager owns the installed files, because only the package manager may
 * replace and remove them.
 */
export async function refusePackaged(root: string): Promise<void> {
  const debian = await findDebianOwner(root);
  if (debian !== undefined) {
    throw new Error(
      `${LIBRARY} belongs to the Debian package ${debian}: install or remove that one instead (apt remove ${debian})`,
    );
  }
  if (await belongsToRpm(root)) {
    throw new Error(
      `${LIBRARY} belongs to an rpm package: install or remove that one instead (rpm -e xen-blkback)`,
    );
  }
}

/**
 * Returns the Debian package that owns the files. Reads the lists of dpkg, which also exist below a
 * destdir and without dpkg itself.
 */
async function findDebianOwner(root: string): Promise<string | undefined> {
  const directory = below(root, DPKG);
  const names = await readdir(directory).catch((error: unknown) => {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  });
  for (const name of names.filter((name) => name.endsWith('.list'))) {
    const text = await readFile(`${directory}/${name}`, 'utf8');
    if (text.split('\n').some((path) => path.startsWith(`${LIBRARY}/`) || path === CLIENT)) {
      return name.replace(/(:[^:]*)?\.list$/, '');
    }
  }
  return undefined;
}

async function belongsToRpm(root: string): Promise<boolean> {
  const found = await Promise.all(RPM.map((path) => exists(below(root, path))));
  if (!found.includes(true)) return false;
  return await promisify(execFile)('rpm', ['--root', root, '-qf', CLIENT]).then(
    () => true,
    () => false,
  );
}
