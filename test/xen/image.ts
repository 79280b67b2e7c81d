import { join } from 'node:path';
import { built, projectRoot } from '../bed/paths.js';
import { Cpio } from './cpio.js';
import type { Generation } from './plan.js';
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

/** What test/xen/setup has made for a generation: hypervisor, kernel, modules, programs. */
export function partsOf(generation: Generation): string {
  return join(projectRoot, 'test/xen/cache', generation);
}

/**
 * Writes dom0's initial root: programs of Debian, Xen's tools, the modules, a guest to start, the
 * scenarios, and the project as the Debian package has put it below `installed`.
 */
export function writeDom0Image(file: string, installed: string, generation: Generation): void {
  const parts = partsOf(generation);
  const archive = new Cpio();
  const userland = new Userland(archive, join(parts, 'root'));
  userland.addDebian();
  archive.file('/usr/bin/busybox', join(parts, 'root/usr/bin/busybox'), 0o755);
  userland.tree(join(parts, 'modules'), '/usr/lib/modules');
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
  archive.file('/boot/vmlinux', join(parts, 'vmlinux'));
  archive.file('/boot/idle-guest', join(parts, 'idle-guest'));
  archive.file('/boot/boot-sector', join(parts, 'boot-sector'));
  archive.file('/boot/guest.cpio', guestImage(parts));
  userland.tree(SOURCES, '/bed');
  userland.tree(INSIDE, '/bed/inside');
  archive.file('/bed/package.json', Buffer.from('{ "type": "module" }'));
  archive.file('/bed/churn', built('churn'), 0o755);
  archive.symlink('/init', '/bed/init');
  archive.write(file);
}

/** The guest's initial root: one program, one module, one script. */
function guestImage(parts: string): Buffer {
  const archive = new Cpio();
  archive.file('/busybox', join(parts, 'root/usr/bin/busybox'), 0o755);
  archive.file('/xen-blkfront.ko', join(parts, 'modules/xen-blkfront.ko'));
  archive.file('/init', join(SOURCES, 'guest-init'), 0o755);
  return archive.bytes();
}
