import type { RequestOptions, Xenstore } from '../xenstore/xenstore.js';
import { isXenstoreError } from '../xenstore/xenstore-error.js';

/** By what it is known which virtual machine a domain belongs to. */
export interface DomainIdentity {
  readonly domid: number;
  readonly name: string | undefined;
  /** Its machine (`/local/domain/<id>/vm`); `undefined` for a domain that is gone. */
  readonly vm: string | undefined;
  /** For a stub domain, which serves another one as its device model: the machine of that one. */
  readonly targetVm: string | undefined;
}

/** Reads who some domains are, in two trips. */
export async function readDomains(
  store: Xenstore,
  domids: readonly number[],
  options?: RequestOptions,
): Promise<DomainIdentity[]> {
  const home = (domid: number | string): string => `/local/domain/${domid}`;
  const nodes = await readTexts(
    store,
    domids.flatMap((domid) => ['name', 'vm', 'target'].map((node) => `${home(domid)}/${node}`)),
    options,
  );
  const targets = domids.map((_, index) => nodes[index * 3 + 2]);
  const asked = targets.filter((target) => target !== undefined && /^\d{1,5}$/.test(target));
  const machines = await readTexts(
    store,
    asked.map((target) => `${home(target ?? '')}/vm`),
    options,
  );
  return domids.map((domid, index) => ({
    domid,
    name: nodes[index * 3],
    vm: nodes[index * 3 + 1],
    targetVm: machines[asked.indexOf(targets[index])],
  }));
}

async function readTexts(
  store: Xenstore,
  paths: readonly string[],
  options?: RequestOptions,
): Promise<(string | undefined)[]> {
  if (paths.length === 0) return [];
  const values = await store.readMany(paths, options).catch((error: unknown) => {
    // A driver domain may not read about all of them: what is not known is not the same.
    if (!isXenstoreError(error, 'EACCES')) throw error;
    return Promise.all(paths.map((path) => readPermitted(store, path, options)));
  });
  return values.map((value) => value?.toString('utf8') || undefined);
}

async function readPermitted(
  store: Xenstore,
  path: string,
  options?: RequestOptions,
): Promise<Buffer | undefined> {
  try {
    return await store.read(path, options);
  } catch (error) {
    if (isXenstoreError(error, 'EACCES', 'ENOENT')) return undefined;
    throw error;
  }
}

/**
 * Whether two domains are one virtual machine: the same domain, two of one machine (as in a migration
 * to the same host), or one and its stub domain, whichever way round. A domain that is gone has no
 * machine and is the same as no other.
 */
export function isSameVm(a: DomainIdentity, b: DomainIdentity): boolean {
  if (a.domid === b.domid) return true;
  const machines = [a.vm, a.targetVm].filter((vm) => vm !== undefined);
  return machines.some((vm) => vm === b.vm || vm === b.targetVm);
}
