import { below, hashOf, hashOfFile } from './manifest.js';
import type { Conffile, Entry } from './tree.js';

/** SHA-256 of the three states of a configuration file that matter. */
export interface ConffileStates {
  /** As it lies there now; `undefined`: it does not. */
  readonly present: string | undefined;
  /** As the last installation shipped it; `undefined`: there was none. */
  readonly shipped: string | undefined;
  /** As this one ships it. */
  readonly next: string;
}

/** `offer`: the administrator's file stays, and the new one is put beside it. */
export type ConffileStep = 'write' | 'keep' | 'offer';

/** The rule of Debian and rpm packages: what an administrator has changed or removed stays so. */
export function decideConffile({ present, shipped, next }: ConffileStates): ConffileStep {
  if (present === undefined) return shipped === undefined ? 'write' : 'keep';
  if (present === next) return 'keep';
  if (present === shipped) return 'write';
  return shipped === next ? 'keep' : 'offer';
}

export interface SettledConffile {
  readonly path: string;
  /** Of what is shipped now. */
  readonly hash: string;
  /** What has to be written for it. */
  readonly entry?: Entry;
  /** Where the new file lies beside the administrator's. */
  readonly offered?: string;
}

/** Decides what becomes of one; `shipped` is the hash in the last installation's manifest. */
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
      // What an earlier installation has offered, and nobody has looked at, is offered still.
      const still = present !== hash && (await hashOfFile(below(root, offered))) === hash;
      return { path, hash, ...(still && { offered }) };
    }
  }
}
