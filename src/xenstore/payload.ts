import { ERRNO, type ErrnoName } from '../util/errno.js';

/** The contents of messages: strings that end with a zero byte, most of them (docs/misc/xenstore.txt). */

/** The errors that xenstored sends by name (xs_wire.h). */
const ERRORS: readonly ErrnoName[] = [
  ...(['EINVAL', 'EACCES', 'EEXIST', 'EISDIR', 'ENOENT', 'ENOMEM', 'ENOSPC', 'EIO'] as const),
  ...(['ENOTEMPTY', 'ENOSYS', 'EROFS', 'EBUSY', 'EAGAIN', 'EISCONN', 'E2BIG', 'EPERM'] as const),
];
const ERRNOS: ReadonlyMap<string, number> = new Map(ERRORS.map((name) => [name, ERRNO[name]]));

/** The errno of an error's name; `EINVAL` for one that the protocol does not know. */
export function decodeErrno(body: Buffer): number {
  return ERRNOS.get(decodeText(body)) ?? ERRNO.EINVAL;
}

/** A string up to its terminator, or up to the end where it has none. */
export function decodeText(body: Buffer): string {
  const end = body.indexOf(0);
  return body.toString('latin1', 0, end < 0 ? body.length : end);
}

/** Any number of terminated strings. */
export function decodeTexts(body: Buffer): string[] {
  if (body.length === 0) return [];
  const end = body[body.length - 1] === 0 ? body.length - 1 : body.length;
  return body.toString('latin1', 0, end).split('\0');
}

/** A number in decimal, as the number of a transaction is sent; NaN for anything else. */
export function decodeNumber(body: Buffer): number {
  const text = decodeText(body);
  return /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
}

/** A part of a long list of names (XS_DIRECTORY_PART). */
export interface DirectoryPart {
  /** Changes whenever the list does. */
  readonly generation: string;
  readonly names: readonly string[];
  /** How far the next part is from this one, in bytes. */
  readonly size: number;
  readonly isLast: boolean;
}

/** The part `generation, name, name, …`; an empty name at the end marks the last part. */
export function decodeDirectoryPart(body: Buffer): DirectoryPart {
  const [generation = '', ...names] = decodeTexts(body);
  const isLast = names.at(-1) === '';
  if (isLast) names.pop();
  const size = names.reduce((sum, name) => sum + name.length + 1, 0);
  return { generation, names, size, isLast };
}
