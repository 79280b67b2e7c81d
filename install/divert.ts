import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { below } from './manifest.js';
import { PROGRAMS } from './tree.js';

/**
 * Runs the installed program `divert`, and returns the lines that it prints. The program documents
 * itself.
 */
export async function divert(
  root: string,
  action: 'add' | 'remove' | 'list',
  names: readonly string[] = [],
): Promise<string[]> {
  const program = below(root, `${PROGRAMS}/divert`);
  const words = [program, ...(root === '/' ? [] : ['--root', root]), action, ...names];
  const { stdout } = await promisify(execFile)('sh', words);
  return stdout.split('\n').filter((line) => line !== '');
}
