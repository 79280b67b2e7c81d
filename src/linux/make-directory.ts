import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { SystemError } from './errno.js';
import { isInMemory } from './memory-file.js';

/**
 * Makes a directory of ours, in a file system in memory, and its parents; does nothing if it exists.
 * Throws `SystemError`. Node's own recursive mkdir tries for ever where a directory cannot be made
 * and the error is ENOENT, as below procfs (Node.js 20, src/node_file.cc, MKDirpSync).
 */
export function makeDirectory(path: string): void {
  if (isInMemory(path)) return;
  const parent = dirname(path);
  if (parent !== path) makeDirectory(parent);
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    // Another process may have made it meanwhile. A link that leads nowhere is no directory.
    if (!isInMemory(path)) throw SystemError.fromNode('mkdir', path, error);
  }
}
