import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { PROGRAM } from './tree.js';

const run = promisify(execFile);

/** It runs as root; what package builders set in their place does the same, or more. */
const HARDENED = [
  '-O2 -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection -fPIE',
  ...(process.arch === 'x64' ? ['-fcf-protection'] : []),
].join(' ');
const HARDENED_LINKING = ['-Wl,-z,relro,-z,now'];

/** What package builders set in the environment. */
export type Flags = Readonly<Partial<Record<'CC' | 'CFLAGS' | 'LDFLAGS', string>>>;

/**
 * Compiles the hotplug client for the installed places, with `CC`, `CFLAGS` and `LDFLAGS` where they
 * are set. Without `LDFLAGS` it is linked statically, which makes it start in half the time, where
 * there is a libc for that. Returns the program.
 */
export async function compileClient(project: string, node: string, flags: Flags): Promise<Buffer> {
  if (flags.LDFLAGS) return await compile(project, node, flags, words(flags.LDFLAGS));
  // Linked as what CFLAGS have made of it.
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
      // Relative: where the checkout lies must not be seen in what is made.
      'native/hotplug-client.c',
      ...linking,
    ];
    await run(compiler, args, { cwd: project });
    return await readFile(output);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Words of a variable, as make would take them. */
function words(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== '');
}
