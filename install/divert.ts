import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { below } from './manifest.js';
import { PROGRAMS } from './tree.js';

/**
 * Throws if the hotplug scripts with these names could not be replaced below `root`. Nothing need be
 * installed there.
 */
export async function checkDivert(
  project: string,
  root: string,
  names: readonly string[],
): Promise<void> {
  await run(join(project, 'install/divert'), root, ['check', ...names]);
}

/**
 * Runs the installed program `divert`, and returns the lines that it prints. The program documents
 * itself.
 */
export async function divert(
  root: string,
  action: 'add' | 'remove' | 'list',
  names: readonly string[] = [],
): Promise<string[]> {
  return await run(below(root, `${PROGRAMS}/divert`), root, [action, ...names]);
}

async function run(program: string, root: string, words: readonly string[]): Promise<string[]> {
  const place = root === '/' ? [] : ['--root', root];
  try {
    const { stdout } = await promisify(execFile)('sh', [program, ...place, ...words]);
    return stdout.split('\n').filter((line) => line !== '');
  } catch (error) {
    // What the program says is a sentence, and the message of Node begins with its command line.
    const said = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : '';
    throw said === '' ? error : new Error(said, { cause: error });
  }
}
