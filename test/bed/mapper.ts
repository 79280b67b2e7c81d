import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { promisify } from 'node:util';
import { pause } from '../../src/util/retry.js';

const run = promisify(execFile);

/** A device-mapper device of the test's own. */
export interface Mapped extends AsyncDisposable {
  /** `/dev/mapper/NAME`, a node of its own; unusual characters are written as libdevmapper does. */
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
  /** A number and a name only: it gets no disk before a table is loaded. */
  readonly notable?: boolean;
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
    if (!options.notable && diskseqOf(kernelPath) !== diskseq) return;
    const address = options.notable ? [name] : [kernelPath];
    try {
      await dmsetup('remove', ...address);
    } catch {
      // It may be suspended, or somebody is just looking at it.
      await dmsetup('resume', ...address).catch(() => {});
      await dmsetup('remove', '--retry', ...address);
    }
    rmSync(path, { force: true });
  };
  const uuid = options.uuid ?? '';
  const devnum = found?.devnum ?? '';
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

/** A mapper device by its name. The kernel has it as libdevmapper writes it, here `\x20` for a blank. */
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
