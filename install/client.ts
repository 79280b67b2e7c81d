import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { PROGRAM } from './tree.js';

const run = promisify(execFile);

/** The source files of the client, as paths below the project. */
export const CLIENT_SOURCES = [
  'native/client-settings.c',
  'native/client-daemon.c',
  'native/hotplug-client.c',
];

/**
 * The default flags harden the client, because it runs as root. Package builders replace them by
 * flags that harden at least as much.
 */
const HARDENED = [
  '-O2 -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection -fPIE',
  ...(process.arch === 'x64' ? ['-fcf-protection'] : []),
].join(' ');
const HARDENED_LINKING = ['-Wl,-z,relro,-z,now'];

/** The compiler and flags that package builders set in the environment. */
export type Flags = Readonly<Partial<Record<'CC' | 'CFLAGS' | 'LDFLAGS', string>>>;

/**
 * Compiles the hotplug client for the installed paths, with `CC`, `CFLAGS` and `LDFLAGS` if they
 * are set. Returns the program. Without `LDFLAGS`, links the client statically if the libc allows
 * it, because a static program starts in half the time.
 */
export async function compileClient(project: string, node: string, flags: Flags): Promise<Buffer> {
  if (flags.LDFLAGS) return await compile(project, node, flags, words(flags.LDFLAGS));
  // Without CFLAGS, the object is position-independent (-fPIE) and is linked accordingly.
  const [alone, shared] = flags.CFLAGS
    ? [['-static'], []]
    : [
        ['-static-pie', ...HARDENED_LINKING],
        ['-pie', ...HARDENED_LINKING],
      ];
  try {
    return await compile(project, node, flags, alone);
  } catch {
    return await compile(project, node, flags, shared);
  }
}

async function compile(
  project: string,
  node: string,
  flags: Flags,
  linking: readonly string[],
): Promise<Buffer> {
  const [compiler = 'cc', ...wrapped] = words(flags.CC || 'cc');
  const directory = await mkdtemp(join(tmpdir(), 'xen-blkback-client-'));
  try {
    const output = join(directory, 'block-diskseq');
    const args = [
      ...wrapped,
      ...words(flags.CFLAGS || HARDENED),
      '-std=gnu2x',
      '-Wall',
      '-Wextra',
      '-Werror',
      `-DPROGRAM="${PROGRAM}"`,
      `-DNODE="${node}"`,
      '-o',
      output,
      // The paths are relative, so that the program does not contain the path of the checkout.
      ...CLIENT_SOURCES,
      ...linking,
    ];
    await run(compiler, args, { cwd: project });
    return await readFile(output);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Splits a variable into words, as make does. */
function words(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== '');
}
