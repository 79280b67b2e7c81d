import { quote } from '../util/one-line.js';
import { encodePath, plainPath } from '../util/path-bytes.js';
import { TargetError } from './target-error.js';

/**
 * Returns the error for wrong syntax or a wrong value in a target. The message names the key and
 * the value.
 */
export function targetError(problem: string): TargetError {
  return new TargetError(`bad target in params: ${problem}`, { code: 'ETARGET' });
}

/**
 * Splits a target `key=value,…` into its parts. A comma inside a value is written as `\,`. Any
 * other backslash stands for itself. Throws `TargetError`.
 */
export function splitTarget(text: string): Map<string, string> {
  const parts = new Map<string, string>();
  for (const item of text.split(/(?<!\\),/)) {
    const equals = item.indexOf('=');
    if (equals <= 0) throw targetError(`${quote(item)} is neither a path nor key=value`);
    const key = item.slice(0, equals);
    const value = item.slice(equals + 1).replaceAll('\\,', ',');
    if (value === '') throw targetError(`${quote(key)} has no value`);
    if (parts.has(key)) throw targetError(`${quote(key)} stands twice`);
    parts.set(key, value);
  }
  return parts;
}

/** Reads a value that must be one of the given words. Throws `TargetError`. */
export function parseChoice<T extends string>(
  key: string,
  value: string,
  choices: readonly T[],
): T {
  const choice = choices.find((word) => word === value);
  if (choice !== undefined) return choice;
  throw targetError(`${key}=${quote(value)}: one of ${choices.join(', ')} is needed`);
}

/**
 * Reads a decimal number from `min` to `max`, without sign or leading zero. Throws `TargetError`.
 */
export function parseNumber(key: string, value: string, min: bigint, max: bigint): bigint {
  const number = /^(0|[1-9]\d{0,19})$/.test(value) ? BigInt(value) : undefined;
  if (number !== undefined && number >= min && number <= max) return number;
  throw targetError(`${key}=${quote(value)}: a whole number from ${min} to ${max} is needed`);
}

/**
 * Reads a diskseq: a decimal number, or a hexadecimal one with `0x`, and never zero. Throws
 * `TargetError`.
 */
export function parseDiskseq(key: string, value: string): bigint {
  const wellFormed = /^(0x[0-9a-fA-F]{1,16}|[1-9]\d{0,19})$/.test(value);
  const number = wellFormed ? BigInt(value) : 0n;
  if (number > 0n && number < 1n << 64n) return number;
  throw targetError(`${key}=${quote(value)}: a disk sequence number is decimal, or hex with 0x`);
}

/** Words before a colon that belong to an xl disk specification and never to a path. */
const PREFIXES =
  /^(?:phy|file|drbd|iscsi|nbd|npiv|tap2?|blktap2?|tapdisk|aio|qdisk|raw|qcow2?|qed|vhdx?|vmdk):/;

/**
 * Returns the path below /dev that a relative path means, as in xl-disk-configuration(5). The text
 * is neither an absolute path nor a list of keys. Throws `TargetError` where it cannot be such a
 * path.
 */
export function parseRelativePath(text: string): string {
  const [prefix] = PREFIXES.exec(text) ?? [];
  if (prefix !== undefined) {
    throw targetError(
      `${quote(text)} begins with ${prefix}, which is part of an xl disk specification and not of a target: leave ${prefix} out`,
    );
  }
  if (text.split('/').some((name) => name === '.' || name === '..')) {
    throw targetError(
      `${quote(text)}: a relative path means one below /dev and has no . or .. in it`,
    );
  }
  return `/dev/${text}`;
}

/** Reads an absolute path that the kernel takes. Throws `TargetError`. */
export function parsePath(key: string, value: string): string {
  if (!value.startsWith('/'))
    throw targetError(`${key}=${quote(value)}: the path must be absolute`);
  if (encodePath(value).length >= 4096) {
    throw targetError(`${key}=${quote(value)}: the path has more than 4095 bytes`);
  }
  // The control node of device-mapper and the links to directories are never devices.
  if (/^\/dev\/mapper\/(control|\.{1,2})?$/.test(plainPath(value))) {
    throw targetError(`${key}=${quote(value)} cannot be a mapper device`);
  }
  return value;
}

/**
 * Reads a name that device-mapper accepts on every kernel and that stays inside /dev/mapper. Throws
 * `TargetError`.
 */
export function parseMapperName(key: string, value: string): string {
  return parseMapperText(key, value, 127);
}

/** Reads a UUID that device-mapper accepts. Throws `TargetError`. */
export function parseMapperUuid(key: string, value: string): string {
  return parseMapperText(key, value, 128);
}

/** @param room bytes that device-mapper has for it (linux/dm-ioctl.h). */
function parseMapperText(key: string, value: string, room: number): string {
  if (/\p{Cc}/u.test(value)) {
    throw targetError(`${key}=${quote(value)}: a mapper device has no control characters in it`);
  }
  if (/[\udc80-\udcff]/u.test(value)) {
    throw targetError(`${key}=${quote(value)} is not UTF-8: name the device by its path`);
  }
  if (['.', '..', 'control'].includes(value) || value.includes('/')) {
    throw targetError(`${key}=${quote(value)} cannot be the name of a mapper device`);
  }
  if (Buffer.byteLength(value) > room) {
    throw targetError(`${key}=${quote(value)}: device-mapper has room for ${room} bytes`);
  }
  return value;
}
