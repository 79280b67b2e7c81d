import { execFile } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { basename } from 'node:path';
import { promisify } from 'node:util';
import { divert } from './divert.js';
import { removeDirectories } from './install.js';
import { below, hashOfFile, hashOfName, MANIFEST, readManifest } from './manifest.js';
import { refusePackaged } from './packaged.js';
import { exists } from './place.js';
import { PROGRAMS } from './tree.js';

/** Options of `uninstall`. */
export interface UninstallOptions {
  /** The destdir, or `/`. */
  readonly root: string;
  /** Uninstall even if guests have disks whose hotplug script is ours. */
  readonly force: boolean;
  readonly say: (line: string) => void;
}

/** The links that `systemctl enable` makes from the [Install] sections. */
const ENABLED = [
  '/etc/systemd/system/multi-user.target.wants/xen-blkback.service',
  '/etc/systemd/system/sockets.target.wants/xen-blkback.socket',
  '/etc/systemd/system/timers.target.wants/xen-blkback-metrics.timer',
  '/etc/systemd/system/xendriverdomain.service.wants/xen-blkback-driverdomain.service',
];

/** Throws if a unit is enabled, because the administrator's link to the unit would be left. */
async function refuseEnabled(root: string): Promise<void> {
  for (const path of ENABLED) {
    if (!(await exists(below(root, path)))) continue;
    const unit = basename(path);
    throw new Error(`${unit} is enabled: systemctl disable --now ${unit} first`);
  }
}

/**
 * Throws if guests have disks whose hotplug script is ours. Without the script, a toolstack that
 * detaches such a disk gets exit status 127.
 */
async function refuseAttached(root: string): Promise<void> {
  // The kernel only knows the guests of this machine, and not those of a tree in a directory.
  if (root !== '/' && !process.env.XEN_BLKBACK_SYSFS) return;
  const program = below(root, `${PROGRAMS}/attached-vbds`);
  if (!(await exists(program))) return;
  const { stdout } = await promisify(execFile)('sh', [program]);
  const vbds = stdout.split('\n').filter((line) => line !== '');
  if (vbds.length === 0) return;
  throw new Error(
    `guests have disks whose hotplug script this is (<domid>/<devid>): ${vbds.join(', ')}. Detach them or shut the guests down first, or give --force: the guests then keep their disks, and their toolstack finds no script when it detaches them`,
  );
}

/**
 * Removes the files that the manifest lists, and nothing else. A file that has been changed since
 * stays. Throws, and removes nothing, if a package manager has become the owner.
 */
export async function uninstall({ root, force, say }: UninstallOptions): Promise<void> {
  const manifest = await readManifest(root);
  if (manifest === undefined) {
    throw new Error(`there is no ${below(root, MANIFEST)}: nothing is installed below ${root}`);
  }
  await refusePackaged(root);
  await refuseEnabled(root);
  if (!force) await refuseAttached(root);
  if (await exists(below(root, `${PROGRAMS}/divert`))) {
    const scripts = await divert(root, 'list');
    if (scripts.length > 0) await divert(root, 'remove', scripts);
  }
  const { files, conffiles, directories } = manifest;
  let removed = 0;
  for (const [path, hash] of files) {
    if (path === MANIFEST) continue;
    const present = await hashOfName(below(root, path));
    if (present === undefined) continue;
    if (hash !== undefined && present !== hash) {
      say(`${path} has been changed and stays`);
      continue;
    }
    await rm(below(root, path));
    removed++;
  }
  for (const [path, hash] of conffiles) {
    const present = await hashOfFile(below(root, path));
    if (present === hash) await rm(below(root, path));
    else if (present !== undefined) say(`${path} has been changed and stays`);
  }
  // The manifest goes after all files in it, so that an interrupted uninstall can be repeated.
  await rm(below(root, MANIFEST));
  const left = await removeDirectories(root, directories);
  say(`${removed} files removed below ${root}`);
  for (const directory of left) say(`${directory} stays: it has files of others in it`);
}
