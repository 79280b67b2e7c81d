import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { pause } from '../../src/util/retry.js';

/** An md array that a test has made. */
export interface MdArray {
  /** The path, such as `/dev/md_100`. */
  readonly path: string;
  stop(): Promise<void>;
}

let next = 100;

const SECTOR = 512;
/** How long the kernel may take to make or forget an array; milliseconds. */
const PATIENCE_MS = 5000;

/**
 * Assembles a RAID 1 through sysfs (Documentation/admin-guide/md.rst). The array has no superblock,
 * so that its bytes are the bytes of its members.
 */
export async function assembleArray(members: readonly string[]): Promise<MdArray> {
  const name = `md_${next++}`;
  writeFileSync('/sys/module/md_mod/parameters/new_array', name);
  const path = `/dev/${name}`;
  const stop = async (): Promise<void> => {
    writeFileSync(`/sys/block/${name}/md/array_state`, 'clear');
    await waitFor(() => !existsSync(`/sys/block/${name}/md/array_state`), `${path} to go`);
  };
  try {
    configure(name, members);
    await waitFor(() => existsSync(path), `${path} to come`);
  } catch (error) {
    await stop().catch(() => undefined);
    throw error;
  }
  return { path, stop };
}

function configure(name: string, members: readonly string[]): void {
  const set = (file: string, value: string): void => {
    try {
      writeFileSync(`/sys/block/${name}/md/${file}`, value);
    } catch (error) {
      throw new Error(`${name}/md/${file} does not take ${value}`, { cause: error });
    }
  };
  set('metadata_version', 'none');
  set('level', 'raid1');
  set('raid_disks', String(members.length));
  const sizes = members.map((member) => Number(readAttribute(member, 'size')) * SECTOR);
  set('component_size', String(Math.min(...sizes) / 1024));
  for (const [slot, member] of members.entries()) {
    set('new_dev', readAttribute(member, 'dev'));
    set(`dev-${basename(member)}/slot`, String(slot));
  }
  set('array_state', 'active');
}

function readAttribute(path: string, name: string): string {
  return readFileSync(`/sys/class/block/${basename(path)}/${name}`, 'utf8').trim();
}

async function waitFor(isSo: () => boolean, what: string): Promise<void> {
  const end = performance.now() + PATIENCE_MS;
  while (!isSo()) {
    if (performance.now() > end) throw new Error(`waited in vain for ${what}`);
    await pause(10);
  }
}
