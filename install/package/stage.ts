import { writeFile } from 'node:fs/promises';
import { makeParents, place } from '../place.js';
import type { Entry } from '../tree.js';

/** What every kind of package is made from. */
export interface PackageSource {
  readonly version: string;
  /** Oldest Node.js of the system that can run it, e.g. `20.19`; `undefined` where it brings its own one. */
  readonly node: string | undefined;
  readonly tree: readonly Entry[];
  /** The checkout. */
  readonly project: string;
  /** The time that all files have, in seconds since 1970. */
  readonly date: number;
  /** Where the packages go. */
  readonly output: string;
}

/** Writes the tree below `root`. */
export async function stageTree(root: string, tree: readonly Entry[]): Promise<void> {
  for (const entry of tree) {
    await makeParents(root, entry.path);
    await place(root, entry);
  }
}

/** Writes a text with `@NAME@` replaced; an unknown name is an error. */
export async function writeFilled(
  path: string,
  text: string,
  values: Readonly<Record<string, string>>,
  mode = 0o644,
): Promise<void> {
  const filled = text.replace(/@([A-Z]+)@/g, (_, name: string) => {
    const value = values[name];
    if (value === undefined) throw new Error(`${path}: nothing is known for @${name}@`);
    return value;
  });
  await writeFile(path, filled, { mode });
}
