import { execFile } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { promisify } from 'node:util';
import { pause } from '../../src/util/retry.js';

const run = promisify(execFile);
/** The program that loads modules for the kernel of User-Mode Linux. */
const MODPROBE = '/run/uml/modprobe';
const PATIENCE_MS = 10_000;

/** One disk of the SCSI simulator that has two paths, and thus two names. */
export interface Lun {
  readonly paths: readonly [string, string];
  unplug(): Promise<void>;
}

/** Plugs in the disk (drivers/scsi/scsi_debug.c): two hosts whose disks have the same identity. */
export async function plugLun(): Promise<Lun> {
  const before = new Set(disks());
  await run(MODPROBE, ['sd_mod']);
  await run(MODPROBE, ['scsi_debug', 'dev_size_mb=1', 'add_host=2', 'vpd_use_hostno=0']);
  const end = performance.now() + PATIENCE_MS;
  const added = (): string[] => disks().filter((path) => !before.has(path));
  while (added().length < 2 || !added().every(existsSync)) {
    if (performance.now() > end) throw new Error('the simulator shows no two disks');
    await pause(20);
  }
  const [one = '', two = ''] = added();
  return {
    paths: [one, two],
    unplug: async () => {
      await run(MODPROBE, ['-r', 'scsi_debug']);
    },
  };
}

function disks(): string[] {
  return readdirSync('/sys/block')
    .filter((name) => name.startsWith('sd'))
    .map((name) => `/dev/${name}`);
}
