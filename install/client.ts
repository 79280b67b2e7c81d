import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { PROGRAM } from './tree.js';

const run = promisify(execFile);

/** It runs as root; what package builders set in their place does the same, or more. */
const HARDENED = '-O2 -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE';
const HARDENED_LINKING = ['-Wl,-z,relro,-z,now'];

/**
 * Compiles the hotplug client for the installed places, with `CC`, `CFLAGS` and `LDFLAGS` of the
 * environment, which package builders set. Without `LDFLAGS` it is linked statically, which makes it
 * start in half the time, where there is a libc for that. Returns the program.
 */
export async function compileClient(project: string, node: string): Promise<Buffer> {
  if (process.env.LDFLAGS) return await compile(project, node, words('LDFLAGS', ''));
  // Linked as what CFLAGS have made of it.
  const [alone, shared] = process.env.CFLAGS
    ? [['-static'], []]
    : [
        ['-static-pie', ...HARDENED_LINKING],
        ['-pie', ...HARDENED_LINKING],
      ];
  try {
    return await compile(project, node, alone);
  } catch {
    return await compile(project, node, shared);
  }
}

async function compile(project: string, node: string, linking: readonly string[]): Promise<Buffer> {
  const [compiler = 'cc', ...wrapped] = words('CC', 'cc');
  const directory = await mkdtemp(join(tmpdir(), 'xen-blkback-client-'));
  try {
    const output = join(directory, 'block-diskseq');
    await run(compiler, [
      ...wrapped,
      ...words('CFLAGS', HARDENED),
      '-std=gnu2x',
      '-Wall',
      '-Wextra',
      '-Werror',
      `-DPROGRAM="${PROGRAM}"`,
      `-DNODE="${node}"`,
      '-o',
      output,
      join(project, 'native/hotplug-client.c'),
      ...linking,
    ]);
    return await readFile(output);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Words of a variable, as make would take them. */
function words(name: string, fallback: string): string[] {
  return (process.env[name] || fallback).split(/\s+/).filter((word) => word !== '');
}
