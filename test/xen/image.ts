import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { built, findXenstored, projectRoot } from '../bed/paths.js';
import { Cpio } from './cpio.js';
import { Userland } from './userland.js';

const SOURCES = join(projectRoot, 'test/xen/dom0');
const INSIDE = join(projectRoot, 'dist/test/xen/inside');
/** The contract of XenStore clients, which is held against the installed one. */
const CONTRACTS = join(projectRoot, 'dist/test/contract');
const CONTRACT = [
  ...['nodes', 'watches', 'transactions'].map((name) => `${name}.contract.js`),
  'support.js',
];
/** The library, of which an installation has only the bundles. */
const LIBRARY = '/usr/lib/xen-blkback/dist/src';
const BESIDE_LIBRARY = '/usr/lib/xen-blkback/dist/test/contract';
/** What test/xen/setup has made: hypervisor, kernel, modules, busybox. */
export const PARTS: string = join(projectRoot, 'test/xen/cache/current');

/**
 * Writes dom0's initial root: programs of Debian, Xen's tools, the modules, a guest to start, the
 * scenarios, and the project as the Debian package has put it below `installed`.
 */
export function writeDom0Image(file: string, installed: string): void {
  const archive = new Cpio();
  const userland = new Userland(archive);
  const xenstored = findXenstored();
  if (xenstored === undefined) throw new Error('no /usr/lib/xen-*/bin/xenstored is installed');
  userland.addDebian(join(xenstored, '..'));
  archive.file('/usr/bin/busybox', join(PARTS, 'busybox'), 0o755);
  for (const module of readdirSync(join(PARTS, 'modules'))) {
    archive.file(`/usr/lib/modules/${module}`, join(PARTS, 'modules', module));
  }
  userland.tree(installed, '/');
  userland.tree(join(projectRoot, 'dist/src'), LIBRARY);
  for (const name of CONTRACT) archive.file(`${BESIDE_LIBRARY}/${name}`, join(CONTRACTS, name));
  userland.addLibraries();
  for (const directory of [
    '/proc',
    '/sys',
    '/dev',
    '/run',
    '/tmp',
    '/srv',
    '/root',
    '/var/log',
    '/boot',
  ]) {
    archive.directory(directory);
  }
  archive.file('/boot/vmlinux', join(PARTS, 'vmlinux'));
  archive.file('/boot/idle-guest', join(PARTS, 'idle-guest'));
  archive.file('/boot/guest.cpio', guestImage());
  userland.tree(SOURCES, '/bed');
  userland.tree(INSIDE, '/bed/inside');
  archive.file('/bed/package.json', Buffer.from('{ "type": "module" }'));
  archive.file('/bed/churn', built('churn'), 0o755);
  archive.symlink('/init', '/bed/init');
  archive.write(file);
}

/** The guest's initial root: one program, one module, one script. */
function guestImage(): Buffer {
  const archive = new Cpio();
  archive.file('/busybox', join(PARTS, 'busybox'), 0o755);
  archive.file('/xen-blkfront.ko', join(PARTS, 'modules/xen-blkfront.ko'));
  archive.file('/init', join(SOURCES, 'guest-init'), 0o755);
  return archive.bytes();
}
