import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { skipByName } from './skip.js';

/** A mount that a test has made. */
export interface Mounted extends AsyncDisposable {
  readonly directory: string;
}

/** Mounts something in this namespace, on a new directory below `parent`. */
export function mountHere(parent: string, ...args: readonly string[]): Mounted {
  const directory = makeDirectory(parent);
  execFileSync('mount', [...args, directory]);
  const end = async (): Promise<void> => {
    execFileSync('umount', [directory]);
    rmdirSync(directory);
  };
  return { directory, [Symbol.asyncDispose]: end };
}

/** Mounts something in a mount namespace of its own, which lasts until the process there ends. */
export async function mountElsewhere(
  parent: string,
  ...args: readonly string[]
): Promise<Mounted & { readonly process: ChildProcess }> {
  const directory = makeDirectory(parent);
  // The shell stays, so that the process has one name all the time.
  const script = 'mount "$@" && echo mounted && read -r _';
  const process = spawn('unshare', ['--mount', 'sh', '-c', script, 'sh', ...args, directory], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const closed = once(process, 'close');
  const [text] = await Promise.race([once(process.stdout, 'data'), closed]);
  if (String(text) !== 'mounted\n') throw new Error(`mount ${args.join(' ')}: ${text}`);
  const end = async (): Promise<void> => {
    process.kill('SIGKILL');
    await closed;
    rmdirSync(directory);
  };
  return { directory, process, [Symbol.asyncDispose]: end };
}

let serial = 0;

function makeDirectory(parent: string): string {
  const directory = join(parent, `mount-${serial++}`);
  mkdirSync(directory);
  return directory;
}

/** Skips the test by name where no btrfs can be made. */
export function needsBtrfs(context: Mocha.Context): void {
  if (spawnSync('mkfs.btrfs', ['--version']).status !== 0)
    skipByName(context, 'mkfs.btrfs is not installed');
}

/** So much room, in bytes, a btrfs needs on each device. */
export const BTRFS_SIZE = 256 * 1024 * 1024;

/** Makes a btrfs over several devices, and mounts it in this namespace. */
export function mountBtrfs(parent: string, ...devices: readonly [string, ...string[]]): Mounted {
  execFileSync('mkfs.btrfs', ['-q', '-f', '-d', 'raid1', '-m', 'raid1', ...devices]);
  const options = devices.map((device) => `device=${device}`).join();
  return mountHere(parent, '-t', 'btrfs', '-o', options, devices[0]);
}
