import type { Permission } from './xenstore.js';
import { XenstoreError } from './xenstore-error.js';

const ACCESSES = ['n', 'r', 'w', 'b'] as const;
const DOMID_MAX = 0xffff;
const ENTRY = /^([nrwb])(\d{1,5})$/;

/**
 * Returns a list as the protocol sends it: for each entry a letter, a domain number and a
 * terminator. Throws `EINVAL` for a bad list.
 */
export function encodePermissions(path: string, permissions: readonly Permission[]): string {
  if (permissions.length === 0)
    throw refusal(path, 'the first entry, which names the owner, is missing');
  return permissions.map((permission) => encodeEntry(path, permission)).join('');
}

/** Reads a list that was received; returns `undefined` where one of its entries makes no sense. */
export function decodePermissions(entries: readonly string[]): Permission[] | undefined {
  const permissions: Permission[] = [];
  for (const entry of entries) {
    const [, letter, domid] = ENTRY.exec(entry) ?? [];
    const access = ACCESSES.find((each) => each === letter);
    if (access === undefined) return undefined;
    permissions.push({ domid: Number(domid), access });
  }
  return permissions;
}

function encodeEntry(path: string, { domid, access }: Permission): string {
  if (!Number.isInteger(domid) || domid < 0 || domid > DOMID_MAX) {
    throw refusal(path, `${domid} is not a domain number`);
  }
  if (!ACCESSES.includes(access)) {
    throw refusal(path, `${JSON.stringify(access)} is none of n, r, w, b`);
  }
  return `${access}${domid}\0`;
}

function refusal(path: string, fault: string): XenstoreError {
  return new XenstoreError(`XenStore permissions for ${path} are not valid: ${fault}`, {
    code: 'EINVAL',
    path,
  });
}
