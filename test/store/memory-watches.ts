import type { Change } from './memory-tree.js';

/** The directory of relative paths. Every client in memory is domain 0. */
const HOME = '/local/domain/0/';

/** Returns the absolute form of a path. */
export function absolute(path: string): string {
  return path.startsWith('/') || path.startsWith('@') ? path : HOME + path;
}

/** A watch of a client of the store in memory. */
export interface MemoryWatch {
  readonly path: string;
  readonly token: string;
}

/** Returns the path with which a watch is told about a change, or `undefined` if it is not told. */
export function reportedPath(watch: MemoryWatch, change: Change): string | undefined {
  const watched = absolute(watch.path);
  const below = watched === '/' ? '/' : `${watched}/`;
  if (change.path !== watched && (change.exact || !change.path.startsWith(below))) return undefined;
  // A watch on a relative path gets relative paths.
  return watched === watch.path ? change.path : change.path.slice(HOME.length);
}
