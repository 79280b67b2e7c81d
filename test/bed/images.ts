import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { pause } from '../../src/util/retry.js';

const run = promisify(execFile);
let serial = 0;

/** A file whose first bytes are the marker; sparse, 1 MiB unless told otherwise. Returns its path. */
export function makeImage(
  directory: string,
  options: { readonly marker: string; readonly size?: number; readonly name?: string },
): string {
  const path = join(directory, options.name ?? `image-${process.pid}-${serial++}.img`);
  writeFileSync(path, options.marker);
  truncateSync(path, options.size ?? 1024 * 1024);
  return path;
}

/** A loop device of the test's own. */
export interface Loop extends AsyncDisposable {
  /** `/dev/loop3` */
  readonly path: string;
  /** `7:3`, in hex, as for `physical-device`. */
  readonly devnum: string;
  /** Decimal, as sysfs has it. */
  readonly diskseq: string;
  /** Lets it go; the kernel clears it once nobody has it open. Idempotent. */
  detach(): Promise<void>;
}

/** Attaches a file to a free loop device through losetup, not through the project's own code. */
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
  const diskseqOf = () => readFileSync(`/sys/block/${basename(path)}/diskseq`, 'utf8').trim();
  const diskseq = diskseqOf();
  const detach = async () => {
    // Cleared meanwhile, and perhaps somebody else's by now: the number proves which one it is.
    if (diskseqOf() === diskseq && isBound(basename(path)))
      await run('losetup', ['--detach', path]);
  };
  return { path, devnum: devnumOf(path), diskseq, detach, [Symbol.asyncDispose]: detach };
}

/** The number of a device node, `major:minor` in hex without padding. */
export function devnumOf(path: string): string {
  const { rdev } = statSync(path);
  const major = (rdev >> 8) & 0xfff;
  const minor = (rdev & 0xff) | ((rdev >> 12) & 0xfff00);
  return `${major.toString(16)}:${minor.toString(16)}`;
}

/** Loop devices whose file lies (or lay) in the directory: what a test must not leave behind. */
export function loopsOf(directory: string): string[] {
  return readdirSync('/sys/block')
    .filter((name) => backingFile(name)?.startsWith(`${directory}/`))
    .map((name) => `/dev/${name}`);
}

/**
 * The same once the dust has settled: whoever looks at a loop device in passing (losetup, udev, a
 * neighbouring test) holds up its clearing for that moment. What remains after 2 s is left behind.
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
