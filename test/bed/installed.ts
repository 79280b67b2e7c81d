import { execFile, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Bed } from './bed.js';
import { type Daemon, startDaemonProgram } from './daemon.js';
import { projectRoot } from './paths.js';
import { libxlEnvironment, type Run, startProgram } from './script.js';
import type { Vbd } from './toolstack.js';

const INSTALLER = join(projectRoot, 'dist/install/main.js');

/** A directory into which the project installs itself. */
export class Destdir implements Disposable {
  readonly path: string = mkdtempSync(join(tmpdir(), 'xen-destdir-'));

  install(...options: string[]): Promise<{ stdout: string }> {
    return this.installWith({}, ...options);
  }

  installWith(
    env: Readonly<Record<string, string>>,
    ...options: string[]
  ): Promise<{ stdout: string }> {
    const args = [INSTALLER, 'install', '--destdir', this.path, ...options];
    return promisify(execFile)(process.execPath, args, { env: { ...process.env, ...env } });
  }

  uninstall(...options: string[]): Promise<{ stdout: string }> {
    return this.uninstallWith({}, ...options);
  }

  uninstallWith(
    env: Readonly<Record<string, string>>,
    ...options: string[]
  ): Promise<{ stdout: string }> {
    const args = [INSTALLER, 'uninstall', '--destdir', this.path, ...options];
    return promisify(execFile)(process.execPath, args, { env: { ...process.env, ...env } });
  }

  /** Where an installed path lies. */
  at(path: string): string {
    return join(this.path, path);
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

// Its own mounts, of which the rest of the machine sees nothing: what is installed below $1 lies where
// it belongs, and the checkout $2 is gone.
const IN_PLACE = `
set -e
mount -t overlay none -o "lowerdir=$1/usr:/usr" /usr
mount -t overlay none -o "lowerdir=$1/etc:/etc" /etc
mount -t tmpfs none "$2"
shift 2
PATH=/nonexistent
export PATH
exec "$@"
`;

/** The command line of a program that is to see `destdir` installed, and no checkout; PATH is of no use. */
export function inPlace(destdir: Destdir, ...command: string[]): [string, string[]] {
  const { path } = destdir;
  return [
    '/usr/bin/unshare',
    ['--mount', '/bin/sh', '-c', IN_PLACE, 'sh', path, projectRoot, ...command],
  ];
}

/** Runs the installed hotplug script as libxl would. */
export function runInstalledScript(
  destdir: Destdir,
  env: Readonly<Record<string, string | undefined>>,
  vbd: Vbd,
  action: string,
): Promise<Run> {
  const [file, args] = inPlace(destdir, '/etc/xen/scripts/block-diskseq', action);
  return startProgram(file, args, { ...env, ...libxlEnvironment(vbd.backendPath) }).ended;
}

/** Runs the installed command. */
export function runInstalledCommand(destdir: Destdir, bed: Bed, ...words: string[]): Promise<Run> {
  const [file, args] = inPlace(destdir, '/usr/bin/xen-blkback', ...words);
  return startProgram(file, args, bed.env).ended;
}

/** Starts the installed daemon. */
export function startInstalledDaemon(destdir: Destdir, bed: Bed): Promise<Daemon> {
  return startDaemonProgram(bed, ...inPlace(destdir, '/usr/bin/xen-blkback', 'daemon'));
}

/** What the shell makes of files and directories below a directory: mode, kind, name, link. */
export function listTree(directory: string): string[] {
  const { stdout } = spawnSync('find', [directory, '-mindepth', '1', '-printf', '%M %P %l\n'], {
    encoding: 'utf8',
  });
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.trimEnd())
    .sort();
}
