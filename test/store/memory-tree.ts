import type { constants } from 'node:os';

/** A node as it stands; never changed in place, so that its identity tells whether it changed. */
export interface TreeNode {
  readonly value: Buffer;
  /** In the order in which they were made. */
  readonly children: readonly string[];
  /** A letter and a domain each, as in a message. */
  readonly permissions: readonly string[];
  /** Another one for each state of a node that there ever was. */
  readonly generation: number;
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
  /** As it is spelled in a message. */
  readonly code: keyof typeof constants.errno;

  constructor(code: keyof typeof constants.errno) {
    super(code);
    this.code = code;
  }
}

/** The most frequent one by far. Where it was thrown is told by whoever catches it. */
const ABSENT = new Refusal('ENOENT');

const EMPTY = Buffer.alloc(0);

/** The root, owned by domain 0 and closed to all others. */
export const ROOT: TreeNode = { value: EMPTY, children: [], permissions: ['n0'], generation: 0 };

export function getNode(records: Records, path: string): TreeNode {
  const node = records.get(path);
  if (!node) throw ABSENT;
  return node;
}

let lastGeneration = 0;

/** The node as it is from now on. */
function renew(node: TreeNode, changes: Partial<TreeNode> = {}): TreeNode {
  lastGeneration++;
  return { ...node, ...changes, generation: lastGeneration };
}

/** Sets a value, making the node and its parents where they are missing. */
export function writeNode(records: Records, path: string, value: Buffer): Change[] {
  records.set(path, renew(ensureNode(records, path), { value: Buffer.from(value) }));
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
  permissions: readonly string[],
): Change[] {
  records.set(path, renew(getNode(records, path), { permissions }));
  return [{ path, exact: false }];
}

/** Removes a node and everything below it. Like xenstored, it accepts a missing node below a parent. */
export function removeNode(records: Records, path: string): Change[] {
  if (path === '/') throw new Refusal('EINVAL');
  const parent = getNode(records, parentOf(path));
  if (!records.get(path)) return [];
  const name = nameOf(path);
  const children = parent.children.filter((child) => child !== name);
  records.set(parentOf(path), renew(parent, { children }));
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
  const node = renew({ ...ROOT, permissions: parent.permissions });
  records.set(parentOf(path), renew(parent, { children: [...parent.children, nameOf(path)] }));
  records.set(path, node);
  return node;
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/')) || '/';
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
