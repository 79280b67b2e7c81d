import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { PROGRAM } from './tree.js';

const run = promisify(execFile);

/**
 * Compiles the hotplug client for the installed places, with `CC`, `CFLAGS` and `LDFLAGS` of the
 * environment, which package builders set. Returns the program.
 */
export async function compileClient(project: string, node: string): Promise<Buffer> {
  const words = (name: string, fallback: string): string[] =>
    (process.env[name] || fallback).split(/\s+/).filter((word) => word !== '');
  const [compiler = 'cc', ...wrapped] = words('CC', 'cc');
  const directory = await mkdtemp(join(tmpdir(), 'xen-blkback-client-'));
  try {
    const output = join(directory, 'block-diskseq');
    await run(compiler, [
      ...wrapped,
      ...words('CFLAGS', '-O2'),
      '-std=gnu2x',
      '-Wall',
      '-Wextra',
      '-Werror',
      `-DPROGRAM="${PROGRAM}"`,
      `-DNODE="${node}"`,
      '-o',
      output,
      join(project, 'native/hotplug-client.c'),
      ...words('LDFLAGS', '-static'),
    ]);
    return await readFile(output);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
