import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { pause } from '../../src/util/retry.js';

const run = promisify(execFile);
let serial = 0;

/** Makes a sparse file that begins with the marker, by default of 1 MiB. Returns its path. */
export function makeImage(
  directory: string,
  options: { readonly marker: string; readonly size?: number; readonly name?: string },
): string {
  const path = join(directory, options.name ?? `image-${process.pid}-${serial++}.img`);
  writeFileSync(path, options.marker);
  truncateSync(path, options.size ?? 1024 * 1024);
  return path;
}

/** A loop device that a test has made. */
export interface Loop extends AsyncDisposable {
  /** The path, such as `/dev/loop3`. */
  readonly path: string;
  /** The device number in hex, such as `7:3`, as in `physical-device`. */
  readonly devnum: string;
  /** The diskseq in decimal, as in sysfs. */
  readonly diskseq: string;
  /** Detaches the device. The kernel clears it when nobody has it open any more. Idempotent. */
  detach(): Promise<void>;
}

/** Binds a free loop device to a file by losetup, and not by the project's own code. */
export async function attachLoop(
  file: string,
  options: {
    readonly readOnly?: boolean;
    readonly partscan?: boolean;
    readonly offset?: number;
    readonly sectorSize?: number;
  } = {},
): Promise<Loop> {
  const args = ['--find', '--show'];
  if (options.readOnly) args.push('--read-only');
  if (options.partscan) args.push('--partscan');
  if (options.offset !== undefined) args.push('--offset', String(options.offset));
  if (options.sectorSize !== undefined) args.push('--sector-size', String(options.sectorSize));
  const { stdout } = await run('losetup', [...args, file]);
  const path = stdout.trim();
  const diskseq = diskseqOf(path);
  const detach = async () => {
    // The device may have been cleared and bound by others. The diskseq proves that it has not.
    if (diskseqOf(path) === diskseq && isBound(basename(path)))
      await run('losetup', ['--detach', path]);
  };
  return { path, devnum: devnumOf(path), diskseq, detach, [Symbol.asyncDispose]: detach };
}

/** Returns the number of a device node, `major:minor` in hex without padding. */
export function devnumOf(path: string): string {
  const { rdev } = statSync(path);
  const major = (rdev >> 8) & 0xfff;
  const minor = (rdev & 0xff) | ((rdev >> 12) & 0xfff00);
  return `${major.toString(16)}:${minor.toString(16)}`;
}

/** Returns the diskseq of a block device in decimal, as sysfs has it. */
export function diskseqOf(path: string): string {
  return sysfsAttribute(path, 'diskseq');
}

/** Returns an attribute of a block device in sysfs, such as `dev`, without the line end. */
export function sysfsAttribute(path: string, name: string): string {
  return readFileSync(`/sys/class/block/${basename(path)}/${name}`, 'utf8').trim();
}

/** Lists loop devices whose file is or was in the directory. A test must not leave any of them. */
export function loopsOf(directory: string): string[] {
  return readdirSync('/sys/block')
    .filter((name) => backingFile(name)?.startsWith(`${directory}/`))
    .map((name) => `/dev/${name}`);
}

/**
 * Lists the loop devices that remain after 5 s at most. A program that looks at a loop device in
 * passing (losetup, udev, another test) delays its clearing for a moment.
 */
export async function loopsLeft(directory: string): Promise<string[]> {
  const end = performance.now() + 5000;
  let left = loopsOf(directory);
  while (left.length > 0 && performance.now() < end) {
    await pause(5);
    left = loopsOf(directory);
  }
  return left;
}

function isBound(name: string): boolean {
  return backingFile(name) !== undefined;
}

function backingFile(name: string): string | undefined {
  try {
    return readFileSync(`/sys/block/${name}/loop/backing_file`, 'utf8').replace(/\n$/, '');
  } catch {
    return undefined;
  }
}
