import { execFile } from 'node:child_process';
import { readFileSync, rmSync, statSync } from 'node:fs';
import { promisify } from 'node:util';
import { pause } from '../../src/util/retry.js';
import { devnumOf } from './images.js';

const run = promisify(execFile);

/** A device-mapper device of the test's own. */
export interface Mapped extends AsyncDisposable {
  /** `/dev/mapper/NAME`, a node of its own. */
  readonly path: string;
  readonly name: string;
  readonly uuid: string;
  /** `/dev/dm-3` */
  readonly kernelPath: string;
  /** `fe:3`, in hex, as for `physical-device`. */
  readonly devnum: string;
  /** Decimal, as sysfs has it. */
  readonly diskseq: string;
  /** Takes it away if it is still the same device. */
  remove(): Promise<void>;
}

export interface MappedOptions {
  readonly uuid?: string;
  readonly readOnly?: boolean;
  /** The minor number, which must be free. */
  readonly minor?: number;
}

/**
 * Runs dmsetup. Where there is no udev, libdevmapper has to be told to make the nodes itself.
 * Resolves with what it printed.
 */
export async function dmsetup(...args: string[]): Promise<string> {
  const { stdout } = await run('dmsetup', args, {
    env: { PATH: process.env.PATH, DM_DISABLE_UDEV: '1' },
  });
  return stdout;
}

/** Makes a mapper device with this table, in the syntax of dmsetup. */
export async function createMapped(
  name: string,
  table: string,
  options: MappedOptions = {},
): Promise<Mapped> {
  const args = ['create', name, '--table', table];
  if (options.uuid !== undefined) args.push('--uuid', options.uuid);
  if (options.readOnly) args.push('--readonly');
  if (options.minor !== undefined) args.push('--major', '254', '--minor', String(options.minor));
  await dmsetup(...args);
  const path = `/dev/mapper/${name}`;
  const kernelPath = `/dev/dm-${minorOf(path)}`;
  const diskseq = diskseqOf(kernelPath) ?? '';
  const remove = async () => {
    if (diskseqOf(kernelPath) !== diskseq) return;
    // Resumed first: a suspended device, or what waits on it, can be in the way.
    await dmsetup('resume', kernelPath).catch(() => {});
    await dmsetup('remove', '--retry', kernelPath);
    rmSync(path, { force: true });
  };
  const uuid = options.uuid ?? '';
  const devnum = devnumOf(path);
  return { path, name, uuid, kernelPath, devnum, diskseq, remove, [Symbol.asyncDispose]: remove };
}

/** A table that maps the first `sectors` of a device, 2048 (1 MiB) unless told otherwise. */
export function linear(device: string, sectors = 2048, start = 0): string {
  return `0 ${sectors} linear ${device} ${start}`;
}

/** Names of all mapper devices there are, sorted. */
export async function mappedNames(): Promise<string[]> {
  const text = await dmsetup('info', '--columns', '--noheadings', '--options', 'name');
  return text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('No devices'))
    .sort();
}

/**
 * The same once the dust has settled: the kernel takes a device that is marked for deferred removal
 * away a moment after its last close. What remains after 2 s is left behind.
 */
export async function mappedLeft(...expected: string[]): Promise<string[]> {
  const end = performance.now() + 2000;
  const unexpected = async () => (await mappedNames()).filter((name) => !expected.includes(name));
  let left = await unexpected();
  while (left.length > 0 && performance.now() < end) {
    await pause(10);
    left = await unexpected();
  }
  return left;
}

function minorOf(path: string): number {
  const { rdev } = statSync(path);
  return (rdev & 0xff) | ((rdev >> 12) & 0xfff00);
}

function diskseqOf(kernelPath: string): string | undefined {
  try {
    return readFileSync(`/sys/block/${kernelPath.slice(5)}/diskseq`, 'utf8').trim();
  } catch {
    return undefined;
  }
}
