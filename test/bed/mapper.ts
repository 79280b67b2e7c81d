import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { promisify } from 'node:util';
import { pause } from '../../src/util/retry.js';

const run = promisify(execFile);

/** A device-mapper device that a test has made. */
export interface Mapped extends AsyncDisposable {
  /** The node `/dev/mapper/NAME`. libdevmapper escapes unusual characters in NAME. */
  readonly path: string;
  readonly name: string;
  readonly uuid: string;
  /** The path of the kernel's node, such as `/dev/dm-3`. */
  readonly kernelPath: string;
  /** The device number in hex, such as `fe:3`, as in `physical-device`. */
  readonly devnum: string;
  /** The diskseq in decimal, as in sysfs. */
  readonly diskseq: string;
  /** Removes the device if it is still the same one. */
  remove(): Promise<void>;
}

/** Options of `createMapped`. */
export interface MappedOptions {
  readonly uuid?: string;
  readonly readOnly?: boolean;
  /** Makes only a number and a name. There is no disk before a table is loaded. */
  readonly notable?: boolean;
  /** The minor number, which must be free. */
  readonly minor?: number;
}

/**
 * Runs dmsetup, and returns its output. Tells libdevmapper to make the nodes itself, because there
 * may be no udev.
 */
export async function dmsetup(...args: string[]): Promise<string> {
  const { stdout } = await run('dmsetup', args, {
    env: { PATH: process.env.PATH, DM_DISABLE_UDEV: '1' },
  });
  return stdout;
}

/** Makes a mapper device with a table in the syntax of dmsetup. */
export async function createMapped(
  name: string,
  table: string,
  options: MappedOptions = {},
): Promise<Mapped> {
  const args = ['create', name, ...(options.notable ? ['--notable'] : ['--table', table])];
  if (options.uuid !== undefined) args.push('--uuid', options.uuid);
  if (options.readOnly) args.push('--readonly');
  if (options.minor !== undefined) args.push('--major', '254', '--minor', String(options.minor));
  await dmsetup(...args);
  const found = options.notable ? undefined : findMapped(name);
  const path = `/dev/mapper/${found?.kernelName ?? name}`;
  const kernelPath = found?.kernelPath ?? '';
  const diskseq = diskseqOf(kernelPath) ?? '';
  const remove = async () => {
    const isGone = (): boolean => !options.notable && diskseqOf(kernelPath) !== diskseq;
    if (isGone()) return;
    const address = options.notable ? [name] : [kernelPath];
    try {
      await dmsetup('remove', ...address);
    } catch {
      // The device may be suspended, or another program may have it open for a moment.
      await dmsetup('resume', ...address).catch(() => {});
      await dmsetup('remove', '--retry', ...address).catch((error: unknown) => {
        // The last close has removed a device that was marked for deferred removal.
        if (!isGone()) throw error;
      });
    }
    rmSync(path, { force: true });
  };
  const uuid = options.uuid ?? '';
  const devnum = found?.devnum ?? '';
  return { path, name, uuid, kernelPath, devnum, diskseq, remove, [Symbol.asyncDispose]: remove };
}

/** Returns a table that maps `sectors` of a device from `start` on, by default 2048 (1 MiB). */
export function linear(device: string, sectors = 2048, start = 0): string {
  return `0 ${sectors} linear ${device} ${start}`;
}

/** Returns the sorted names of all mapper devices. */
export async function mappedNames(): Promise<string[]> {
  const text = await dmsetup('info', '--columns', '--noheadings', '--options', 'name');
  return text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('No devices'))
    .sort();
}

/**
 * Lists the unexpected mapper devices that remain after 2 s at most. The kernel removes a device
 * that is marked for deferred removal a moment after its last close.
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

/**
 * Finds a mapper device by name. In the kernel's name, libdevmapper has replaced a blank by `\x20`.
 */
function findMapped(name: string) {
  for (const disk of readdirSync('/sys/block')) {
    if (!disk.startsWith('dm-')) continue;
    const read = (file: string) => readFileSync(`/sys/block/${disk}/${file}`, 'utf8').trim();
    const kernelName = read('dm/name');
    const plain = kernelName.replace(/\\x(..)/g, (_, hex: string) =>
      String.fromCharCode(Number.parseInt(hex, 16)),
    );
    if (plain !== name) continue;
    const [major, minor] = read('dev').split(':').map(Number);
    const devnum = `${major?.toString(16)}:${minor?.toString(16)}`;
    return { kernelName, kernelPath: `/dev/${disk}`, devnum };
  }
  throw new Error(`dmsetup made no ${name}`);
}

function diskseqOf(kernelPath: string): string | undefined {
  try {
    return readFileSync(`/sys/block/${kernelPath.slice(5)}/diskseq`, 'utf8').trim();
  } catch {
    return undefined;
  }
}
