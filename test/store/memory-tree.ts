import { constants } from 'node:os';

/** A node as it stands; never changed in place, so that its identity tells whether it changed. */
export interface TreeNode {
  readonly value: Buffer;
  /** In the order in which they were made. */
  readonly children: readonly string[];
  /** domid and bits, alternating. */
  readonly permissions: readonly number[];
}

/** Nodes by absolute path: the store itself, or a transaction's view of it. */
export interface Records {
  get(path: string): TreeNode | undefined;
  set(path: string, node: TreeNode): void;
  delete(path: string): unknown;
}

/** A change that watches are told of. */
export interface Change {
  readonly path: string;
  /** Only watches on exactly this path: what went away together with an ancestor. */
  readonly exact: boolean;
}

/** A request that xenstored would answer with this errno. */
export class Refusal extends Error {
  readonly errno: number;

  constructor(code: keyof typeof constants.errno) {
    super(code);
    this.errno = constants.errno[code];
  }
}

const EMPTY = Buffer.alloc(0);

/** The root, owned by domain 0 and closed to all others. */
export const ROOT: TreeNode = { value: EMPTY, children: [], permissions: [0, 0] };

export function getNode(records: Records, path: string): TreeNode {
  const node = records.get(path);
  if (!node) throw new Refusal('ENOENT');
  return node;
}

/** Sets a value, making the node and its parents where they are missing. */
export function writeNode(records: Records, path: string, value: Buffer): Change[] {
  records.set(path, { ...ensureNode(records, path), value: Buffer.from(value) });
  return [{ path, exact: false }];
}

export function makeNode(records: Records, path: string): Change[] {
  if (records.get(path)) return [];
  ensureNode(records, path);
  return [{ path, exact: false }];
}

export function setPermissions(
  records: Records,
  path: string,
  permissions: readonly number[],
): Change[] {
  records.set(path, { ...getNode(records, path), permissions });
  return [{ path, exact: false }];
}

/** Removes a node and everything below it. Like xenstored, it accepts a missing node below a parent. */
export function removeNode(records: Records, path: string): Change[] {
  if (path === '/') throw new Refusal('EINVAL');
  const parent = getNode(records, parentOf(path));
  if (!records.get(path)) return [];
  const name = nameOf(path);
  records.set(parentOf(path), { ...parent, children: parent.children.filter((c) => c !== name) });
  const removed = removeBranch(records, path);
  return removed.map((gone) => ({ path: gone, exact: gone !== path }));
}

function removeBranch(records: Records, path: string): string[] {
  const children = records.get(path)?.children ?? [];
  records.delete(path);
  return [path, ...children.flatMap((name) => removeBranch(records, `${path}/${name}`))];
}

function ensureNode(records: Records, path: string): TreeNode {
  const found = records.get(path);
  if (found) return found;
  const parent = ensureNode(records, parentOf(path));
  const node = { value: EMPTY, children: [], permissions: parent.permissions };
  records.set(parentOf(path), { ...parent, children: [...parent.children, nameOf(path)] });
  records.set(path, node);
  return node;
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/')) || '/';
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
