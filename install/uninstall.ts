import { rm } from 'node:fs/promises';
import { basename } from 'node:path';
import { removeDirectories } from './install.js';
import { below, hashOfFile, MANIFEST, readManifest } from './manifest.js';
import { exists } from './place.js';

export interface UninstallOptions {
  /** destdir, or `/`. */
  readonly root: string;
  readonly say: (line: string) => void;
}

/** What `systemctl enable` makes of the [Install] sections. */
const ENABLED = [
  '/etc/systemd/system/multi-user.target.wants/xen-blkback.service',
  '/etc/systemd/system/sockets.target.wants/xen-blkback.socket',
  '/etc/systemd/system/xendriverdomain.service.wants/xen-blkback-driverdomain.service',
];

/** Links of the administrator's to units that are gone would be left. */
async function refuseEnabled(root: string): Promise<void> {
  for (const path of ENABLED) {
    if (!(await exists(below(root, path)))) continue;
    const unit = basename(path);
    throw new Error(`${unit} is enabled: systemctl disable --now ${unit} first`);
  }
}

/** Takes away what the manifest lists, and nothing else; a changed configuration file stays. */
export async function uninstall({ root, say }: UninstallOptions): Promise<void> {
  const manifest = await readManifest(root);
  if (manifest === undefined) {
    throw new Error(`there is no ${below(root, MANIFEST)}: nothing is installed below ${root}`);
  }
  await refuseEnabled(root);
  const { files, conffiles, directories } = manifest;
  let removed = 0;
  for (const path of files) {
    if (path === MANIFEST) continue;
    await rm(below(root, path), { force: true });
    removed++;
  }
  for (const [path, hash] of conffiles) {
    const present = await hashOfFile(below(root, path));
    if (present === hash) await rm(below(root, path));
    else if (present !== undefined) say(`${path} has been changed and stays`);
  }
  // The list goes when all that is on it is gone: whatever interrupts this can be done again.
  await rm(below(root, MANIFEST));
  const left = await removeDirectories(root, directories);
  say(`${removed} files removed below ${root}`);
  for (const directory of left) say(`${directory} stays: it has files of others in it`);
}
