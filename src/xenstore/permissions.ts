import type { Permission } from './xenstore.js';
import { XenstoreError } from './xenstore-error.js';

const READ = 1;
const WRITE = 2;
const ACCESSES = ['n', 'r', 'w', 'b'] as const;
const DOMID_MAX = 0xffff;

/** libxenstore's form of a list: domid and bits, alternating. Throws `EINVAL` for a bad list. */
export function encodePermissions(path: string, permissions: readonly Permission[]): number[] {
  if (permissions.length === 0)
    throw refusal(path, 'the first entry, which names the owner, is missing');
  return permissions.flatMap(({ domid, access }) => {
    if (!Number.isInteger(domid) || domid < 0 || domid > DOMID_MAX) {
      throw refusal(path, `${domid} is not a domain number`);
    }
    const bits = ACCESSES.indexOf(access);
    if (bits < 0) throw refusal(path, `${JSON.stringify(access)} is none of n, r, w, b`);
    return [domid, bits];
  });
}

export function decodePermissions(list: readonly number[]): Permission[] {
  const permissions: Permission[] = [];
  for (let i = 0; i + 1 < list.length; i += 2) {
    const access = ACCESSES[(list[i + 1] ?? 0) & (READ | WRITE)];
    permissions.push({ domid: list[i] ?? 0, access: access ?? 'n' });
  }
  return permissions;
}

function refusal(path: string, fault: string): XenstoreError {
  return new XenstoreError(`XenStore permissions for ${path} are not valid: ${fault}`, {
    code: 'EINVAL',
    path,
  });
}
