import { PAYLOAD_MAX } from './packet.js';
import type { Value } from './xenstore.js';
import { XenstoreError } from './xenstore-error.js';

/**
 * The longest path in characters (XENSTORE_REL_PATH_MAX). The limit applies to a relative path, and
 * to the part of an absolute path below a domain's home.
 */
const PATH_MAX = 2048;
const DOMAIN_HOME = /^\/local\/domain\/\d{1,5}\//;
/** Paths that xenstored keeps for announcing domains. A client can watch them and nothing else. */
const SPECIAL_PATHS: readonly string[] = ['@introduceDomain', '@releaseDomain'];

/**
 * Checks a path by the rules of xenstored (docs/misc/xenstore.txt). A valid path is absolute, or
 * relative to the domain's own home, and consists of letters, digits, `/`, `-`, `_` and `@`. Throws
 * `EINVAL` for a path that xenstored would refuse, or `E2BIG` where only its length is at fault.
 */
export function checkPath(path: string): void {
  const fault = pathFault(path);
  if (fault !== undefined) {
    throw new XenstoreError(`XenStore path ${JSON.stringify(path)} is not valid: ${fault}`, {
      code: 'EINVAL',
      path,
    });
  }
  if (path.length <= PATH_MAX) return;
  const home = DOMAIN_HOME.exec(path)?.[0].length ?? 0;
  if (path.length - home > PATH_MAX) {
    throw new XenstoreError(
      `XenStore path ${path.slice(0, 40)}… is too long: ${path.length} characters, ${PATH_MAX + home} are allowed`,
      { code: 'E2BIG', path },
    );
  }
}

/** Checks the path of a watch as `checkPath` does, but allows the special paths too. */
export function checkWatchPath(path: string): void {
  if (!SPECIAL_PATHS.includes(path)) checkPath(path);
}

/**
 * Returns the bytes of a value. Throws `E2BIG` when the value and the path do not fit into one
 * request.
 */
export function checkValue(path: string, value: Value): Buffer {
  const bytes =
    typeof value === 'string'
      ? Buffer.from(value, 'utf8')
      : Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  // A request holds the path with its terminator, and the value without one.
  const room = PAYLOAD_MAX - Buffer.byteLength(path) - 1;
  if (bytes.length > room) {
    throw new XenstoreError(
      `XenStore value for ${path} is too long: ${bytes.length} bytes, ${room} fit beside this path`,
      { code: 'E2BIG', path },
    );
  }
  return bytes;
}

function pathFault(path: string): string | undefined {
  if (path === '') return 'it is empty';
  if (path === '/') return undefined;
  if (path.startsWith('@')) return "a path that begins with '@' can only be watched";
  if (path.endsWith('/')) return "it ends with '/'";
  if (path.includes('//')) return "it has '//'";
  const foreign = /[^A-Za-z0-9/_@-]/u.exec(path)?.[0];
  return foreign === undefined ? undefined : `it has the character ${JSON.stringify(foreign)}`;
}
