import { promises } from 'node:fs';
import type { UdevEntry } from '../../linux/udev-database.js';
import { encodePath, plainPath, showPath } from '../../util/path-bytes.js';

/** The name or UUID that a mapper device must have according to a target or a path. */
export interface ExpectedName {
  readonly name?: string | undefined;
  readonly uuid?: string | undefined;
  /** The target or path that says the name or UUID, for messages. */
  readonly by: string;
}

/**
 * Returns the name or UUID that a path says its device has. A link may lead to another device than
 * its name says, because udev's links lag behind and names are reused. A link that looks like LVM's
 * own `/dev/VG/LV` says a name too, and `isCurrentLink` tells it from a link of the administrator's.
 */
export async function expectedNameOfPath(path: string): Promise<ExpectedName | undefined> {
  const by = showPath(path);
  const plain = plainPath(path);
  const [, name] = /^\/dev\/mapper\/([^/]+)$/.exec(plain) ?? [];
  if (name !== undefined) return { name, by };
  const [, kind, value] = /^\/dev\/disk\/by-id\/dm-(name|uuid)-([^/]+)$/.exec(plain) ?? [];
  if (value !== undefined) return { [kind === 'name' ? 'name' : 'uuid']: value, by };
  const [, group, volume] = /^\/dev\/([^/]+)\/([^/]+)$/.exec(plain) ?? [];
  if (group === undefined || volume === undefined) return undefined;
  const link = await promises.readlink(encodePath(path)).catch(() => '');
  // LVM joins the names of group and volume with a hyphen, and doubles the hyphens within the
  // names.
  return /^\.\.\/dm-\d+$/.test(link)
    ? { name: [group, volume].map((part) => part.replaceAll('-', '--')).join('-'), by }
    : undefined;
}

/**
 * Tells whether a path `/dev/…/…` is a link that udev has made for the mapper device of this name,
 * by a rule of LVM or of the administrator. `entry` may belong to an earlier device with the same
 * number, and its mapper name differs then. Pure.
 */
export function isCurrentLink(path: string, name: string, entry: UdevEntry | undefined): boolean {
  if (entry?.mapperName === undefined || !sameMapperName(entry.mapperName, name)) return false;
  const plain = plainPath(path);
  return /^\/dev\/[^/]+\/[^/]+$/.test(plain) && entry.links.includes(plain.slice('/dev/'.length));
}

/**
 * Writes a name as libdevmapper and udev write it in /dev/mapper: every byte outside a small set
 * becomes `\xNN` (libdm-common.c, `_is_whitelisted_char`). A name that is in this form already
 * stays as it is.
 */
export function mangle(name: string): string {
  if (/^([A-Za-z0-9#+\-.:=@_]|\\x[0-9a-fA-F]{2})*$/.test(name)) return name;
  return [...Buffer.from(name)]
    .map((byte) => {
      const letter = String.fromCharCode(byte);
      return /[A-Za-z0-9#+\-.:=@_]/.test(letter)
        ? letter
        : `\\x${byte.toString(16).padStart(2, '0')}`;
    })
    .join('');
}

/** Undoes `mangle`. Other text stays as it is. */
export function unmangle(name: string): string {
  const bytes: number[] = [];
  const source = Buffer.from(name);
  for (let at = 0; at < source.length; at++) {
    const [, hex] = /^\\x([0-9a-fA-F]{2})/.exec(source.toString('latin1', at, at + 4)) ?? [];
    bytes.push(hex === undefined ? (source[at] ?? 0) : Number.parseInt(hex, 16));
    if (hex !== undefined) at += 3;
  }
  return Buffer.from(bytes).toString('utf8');
}

/**
 * Tells whether two spellings mean the same name: either may be mangled or not, and one of them may
 * be mangled once more by udev.
 */
export function sameMapperName(a: string, b: string): boolean {
  return a === b || unmangle(a) === unmangle(b);
}
