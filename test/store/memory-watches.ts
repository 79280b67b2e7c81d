import type { Change } from './memory-tree.js';

/** Where relative paths lead: every client in memory is domain 0. */
const HOME = '/local/domain/0/';

/** The absolute form of a path. */
export function absolute(path: string): string {
  return path.startsWith('/') || path.startsWith('@') ? path : HOME + path;
}

/** A watch of a client of the store in memory. */
export interface MemoryWatch {
  readonly path: string;
  readonly token: string;
}

/** The path that a change is reported to a watch with; `undefined` if it is none of its business. */
export function reportedPath(watch: MemoryWatch, change: Change): string | undefined {
  const watched = absolute(watch.path);
  const below = watched === '/' ? '/' : `${watched}/`;
  if (change.path !== watched && (change.exact || !change.path.startsWith(below))) return undefined;
  // A relative watch is told relative paths.
  return watched === watch.path ? change.path : change.path.slice(HOME.length);
}
