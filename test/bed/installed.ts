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

/** The places of an installation, as people and packages know them. */
export const SCRIPT = '/etc/xen/scripts/block-diskseq';
export const CLIENT = '/usr/libexec/xen-blkback/block-diskseq';
export const LIBRARY = '/usr/lib/xen-blkback';

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

  /** Returns the place of an installed path. */
  at(path: string): string {
    return join(this.path, path);
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

// Makes mounts that the rest of the machine does not see. In them, the files installed below $1 are
// in their final places, and the checkout $2 is gone.
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

/**
 * Returns the command line of a program that sees `destdir` installed, no checkout, and no PATH.
 */
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

/** Lists files and directories below a directory as `find` does: mode and kind, name, link. */
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
