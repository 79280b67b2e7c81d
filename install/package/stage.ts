import { writeFile } from 'node:fs/promises';
import { makeParents, place } from '../place.js';
import type { Entry } from '../tree.js';

/** The input of every package builder. */
export interface PackageSource {
  readonly version: string;
  /**
   * The oldest version of the system's Node.js that can run the programs, such as `20.19`;
   * `undefined` for a package that brings its own Node.js.
   */
  readonly node: string | undefined;
  readonly tree: readonly Entry[];
  /** The directory of the checkout. */
  readonly project: string;
  /** The time of all files, in seconds since 1970. */
  readonly date: number;
  /** The directory for the packages. */
  readonly output: string;
}

/** Writes the tree below `root`. */
export async function stageTree(root: string, tree: readonly Entry[]): Promise<void> {
  for (const entry of tree) {
    await makeParents(root, entry.path);
    await place(root, entry);
  }
}

/** Writes a text with every `@NAME@` replaced by its value. Throws for an unknown name. */
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
