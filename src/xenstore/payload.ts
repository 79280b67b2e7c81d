import { ERRNO, type ErrnoName } from '../util/errno.js';

// The payloads of messages. Most of them are strings that end with a zero byte
// (docs/misc/xenstore.txt).

/** The errors that xenstored sends by their names (xs_wire.h). */
const ERRORS: readonly ErrnoName[] = [
  ...(['EINVAL', 'EACCES', 'EEXIST', 'EISDIR', 'ENOENT', 'ENOMEM', 'ENOSPC', 'EIO'] as const),
  ...(['ENOTEMPTY', 'ENOSYS', 'EROFS', 'EBUSY', 'EAGAIN', 'EISCONN', 'E2BIG', 'EPERM'] as const),
];
/**
 * The name that oxenstored sends where a quota is reached (tools/ocaml/xenstored/process.ml). The
 * other xenstored sends ENOSPC there.
 */
const OTHER_NAMES = { EQUOTA: ERRNO.ENOSPC };
const ERRNOS: ReadonlyMap<string, number> = new Map([
  ...ERRORS.map((name) => [name, ERRNO[name]] as const),
  ...Object.entries(OTHER_NAMES),
]);

/** Returns the errno of an error's name; `EINVAL` for a name that the protocol does not know. */
export function decodeErrno(body: Buffer): number {
  return ERRNOS.get(decodeText(body)) ?? ERRNO.EINVAL;
}

/** Returns the string up to its terminator, or the whole body where there is no terminator. */
export function decodeText(body: Buffer): string {
  const end = body.indexOf(0);
  return body.toString('latin1', 0, end < 0 ? body.length : end);
}

/** Returns the terminated strings in a body, of which there may be any number. */
export function decodeTexts(body: Buffer): string[] {
  if (body.length === 0) return [];
  const end = body[body.length - 1] === 0 ? body.length - 1 : body.length;
  return body.toString('latin1', 0, end).split('\0');
}

/** Returns a decimal number, such as the number of a transaction; NaN for anything else. */
export function decodeNumber(body: Buffer): number {
  const text = decodeText(body);
  return /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
}

/** A part of a long list of names (XS_DIRECTORY_PART). */
export interface DirectoryPart {
  /** A text that changes whenever the list changes. */
  readonly generation: string;
  readonly names: readonly string[];
  /** The distance in bytes from this part to the next one. */
  readonly size: number;
  readonly isLast: boolean;
}

/** Reads the part `generation, name, name, …`. An empty name at the end marks the last part. */
export function decodeDirectoryPart(body: Buffer): DirectoryPart {
  const [generation = '', ...names] = decodeTexts(body);
  const isLast = names.at(-1) === '';
  if (isLast) names.pop();
  const size = names.reduce((sum, name) => sum + name.length + 1, 0);
  return { generation, names, size, isLast };
}
