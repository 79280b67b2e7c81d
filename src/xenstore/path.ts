import { PAYLOAD_MAX } from './packet.js';
import type { Value } from './xenstore.js';
import { XenstoreError } from './xenstore-error.js';

/** XENSTORE_REL_PATH_MAX: of a relative path, and of an absolute one beyond its domain's home. */
const PATH_MAX = 2048;
const DOMAIN_HOME = /^\/local\/domain\/\d{1,5}\//;
/** Paths that xenstored keeps for announcing domains; they can be watched and nothing else. */
const SPECIAL_PATHS: readonly string[] = ['@introduceDomain', '@releaseDomain'];

/**
 * Throws `EINVAL` or `E2BIG` for a path that xenstored would refuse (docs/misc/xenstore.txt):
 * absolute, or relative to the domain's own home, of letters, digits and `-`, `_`, `@`.
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

/** As `checkPath`, for a watch: the special paths are allowed too. */
export function checkWatchPath(path: string): void {
  if (!SPECIAL_PATHS.includes(path)) checkPath(path);
}

/** The bytes of a value; throws `E2BIG` when they and the path do not fit into one request. */
export function checkValue(path: string, value: Value): Buffer {
  const bytes =
    typeof value === 'string'
      ? Buffer.from(value, 'utf8')
      : Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  // The path travels with its terminator, the value without.
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
