import { below, hashOf, hashOfFile } from './manifest.js';
import type { Conffile, Entry } from './tree.js';

/** The SHA-256 of a configuration file in three states. */
export interface ConffileStates {
  /** The hash of the present file. `undefined` if there is no file. */
  readonly present: string | undefined;
  /** The hash of the file in the last installation. `undefined` if there was none. */
  readonly shipped: string | undefined;
  /** The hash of the file in this installation. */
  readonly next: string;
}

/** What to do with a configuration file. `offer` keeps it and puts the new file beside it. */
export type ConffileStep = 'write' | 'keep' | 'offer';

/**
 * Decides what to do with a configuration file by the rule of Debian and rpm packages: changes and
 * removals by an administrator stay.
 */
export function decideConffile({ present, shipped, next }: ConffileStates): ConffileStep {
  if (present === undefined) return shipped === undefined ? 'write' : 'keep';
  if (present === next) return 'keep';
  if (present === shipped) return 'write';
  return shipped === next ? 'keep' : 'offer';
}

/** The decision about one configuration file. */
export interface SettledConffile {
  readonly path: string;
  /** The SHA-256 of the file in this installation. */
  readonly hash: string;
  /** The file to write, if any. */
  readonly entry?: Entry;
  /** The path of the new file beside the file of the administrator. */
  readonly offered?: string;
}

/**
 * Decides what to do with one configuration file below `root`. `shipped` is the hash in the
 * manifest of the last installation.
 */
export async function settleConffile(
  root: string,
  entry: Conffile,
  shipped: string | undefined,
): Promise<SettledConffile> {
  const { path, bytes, mode } = entry;
  const hash = hashOf(bytes);
  const offered = `${path}.new`;
  const present = await hashOfFile(below(root, path));
  switch (decideConffile({ present, shipped, next: hash })) {
    case 'write':
      return { path, hash, entry };
    case 'offer':
      return { path, hash, entry: { kind: 'file', path: offered, mode, bytes }, offered };
    case 'keep': {
      // A file that an earlier installation has offered is still offered if it is still there.
      const still = present !== hash && (await hashOfFile(below(root, offered))) === hash;
      return { path, hash, ...(still && { offered }) };
    }
  }
}
