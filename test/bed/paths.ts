import { mkdtempSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The root of the project. This file is compiled to dist/test/bed. */
export const projectRoot: string = fileURLToPath(new URL('../../../', import.meta.url));

/** Returns the path of a file that test/bed/Makefile builds. */
export function built(name: string): string {
  return join(projectRoot, 'test/bed/build', name);
}

/** Finds Debian's C xenstored, whose directory contains the version of Xen, or `undefined`. */
export function findXenstored(): string | undefined {
  try {
    const directory = readdirSync('/usr/lib')
      .filter((name) => /^xen-\d/.test(name))
      .sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))
      .map((name) => join('/usr/lib', name, 'bin'))
      .filter((bin) => readdirSync(bin).includes('xenstored'))
      .at(-1);
    return directory === undefined ? undefined : join(directory, 'xenstored');
  } catch {
    return undefined;
  }
}

/** Makes a directory with a short path, because the path of a socket has 107 bytes at most. */
export function temporaryDirectory(): string {
  const parent = tmpdir().length <= 40 ? tmpdir() : '/tmp';
  return mkdtempSync(join(parent, 'xen-bed-'));
}
