import type { constants } from 'node:os';

/** One state of a node. It is never changed in place, so its identity tells whether it changed. */
export interface TreeNode {
  readonly value: Buffer;
  /** The names of the children, in the order in which they were made. */
  readonly children: readonly string[];
  /** The permissions, each a letter and a domain number, as in a message. */
  readonly permissions: readonly string[];
  /** A number that differs for every state of every node. */
  readonly generation: number;
}

/** Nodes by absolute path: the store itself, or a transaction's view of it. */
export interface Records {
  get(path: string): TreeNode | undefined;
  set(path: string, node: TreeNode): void;
  delete(path: string): unknown;
}

/** A change that watches are told about. */
export interface Change {
  readonly path: string;
  /** Tells only watches on exactly this path, because the node has gone with an ancestor. */
  readonly exact: boolean;
}

/** The name of an errno, or the name that oxenstored has for a quota that is used up. */
type RefusalCode = keyof typeof constants.errno | 'EQUOTA';

/** The error of a request that xenstored would answer with an errno. */
export class Refusal extends Error {
  /** The name of the errno, as it is spelled in a message. */
  readonly code: RefusalCode;

  constructor(code: RefusalCode) {
    super(code);
    this.code = code;
  }
}

/** The most frequent refusal by far, made only once. So its stack trace has no meaning. */
const ABSENT = new Refusal('ENOENT');

const EMPTY = Buffer.alloc(0);

/** The root, owned by domain 0 and closed to all others. */
export const ROOT: TreeNode = { value: EMPTY, children: [], permissions: ['n0'], generation: 0 };

/** Returns a node. Throws `ENOENT` if there is none. */
export function getNode(records: Records, path: string): TreeNode {
  const node = records.get(path);
  if (!node) throw ABSENT;
  return node;
}

let lastGeneration = 0;

/** Returns a new state of a node, with a new generation. */
function renew(node: TreeNode, changes: Partial<TreeNode> = {}): TreeNode {
  lastGeneration++;
  return { ...node, ...changes, generation: lastGeneration };
}

/** Sets a value. Makes the node and its parents if they are missing. Returns the changes. */
export function writeNode(records: Records, path: string, value: Buffer): Change[] {
  records.set(path, renew(ensureNode(records, path), { value: Buffer.from(value) }));
  return [{ path, exact: false }];
}

/** Makes a node and its parents, if they are missing. Returns the changes. */
export function makeNode(records: Records, path: string): Change[] {
  if (records.get(path)) return [];
  ensureNode(records, path);
  return [{ path, exact: false }];
}

/** Sets the permissions of a node. Returns the changes. */
export function setPermissions(
  records: Records,
  path: string,
  permissions: readonly string[],
): Change[] {
  records.set(path, renew(getNode(records, path), { permissions }));
  return [{ path, exact: false }];
}

/**
 * Removes a node and everything below it. Returns the changes. Like xenstored, accepts a missing
 * node if its parent exists.
 */
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
