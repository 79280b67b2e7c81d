import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { errorMessage } from '../src/errors.js';
import { exists } from './place.js';

/**
 * Throws unless `node` is a Node.js that can run the installed programs. With a destdir, `node`
 * need not exist, because it may belong to the machine that a package is built for.
 */
export async function checkNode(node: string, root: string, project: string): Promise<void> {
  // The path becomes part of a #! line, which the kernel splits at blanks, and of a C source.
  if (!/^\/[A-Za-z0-9/._+@~-]{1,200}$/.test(node)) {
    throw new Error(`${JSON.stringify(node)} cannot be named as an interpreter: give another path`);
  }
  if (root !== '/' && !(await exists(node))) return;
  const { engines } = JSON.parse(await readFile(join(project, 'package.json'), 'utf8')) as {
    engines: { node: string };
  };
  const version = await askVersion(node);
  const needed = engines.node.replace('>=', '');
  if (!isAtLeast(version, needed)) {
    throw new Error(`${node} is Node.js ${version}: ${needed} or later is needed`);
  }
}

async function askVersion(node: string): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)(node, ['--version'], { timeout: 10_000 });
    const [, version] = /^v(\d+\.\d+\.\d+)/.exec(stdout) ?? [];
    if (version !== undefined) return version;
  } catch (error) {
    throw new Error(`${node} cannot be run: ${errorMessage(error)}`, { cause: error });
  }
  throw new Error(`${node} does not say which Node.js it is`);
}

/** Returns whether a version such as `20.19.0` is at least one such as `20.19`, part by part. */
export function isAtLeast(version: string, needed: string): boolean {
  const parts = (text: string): number[] => text.split('.').map(Number);
  const have = parts(version);
  for (const [i, want] of parts(needed).entries()) {
    const part = have[i] ?? 0;
    if (part !== want) return part > want;
  }
  return true;
}
