import type { RequestOptions, Xenstore } from '../xenstore/xenstore.js';
import { isXenstoreError } from '../xenstore/xenstore-error.js';

/**
 * What a domain is taken for whose machine may not be read, as in a driver domain, which sees only its
 * own: `check` takes it for another virtual machine, `assume` for the same one.
 */
export type SameVmRule = 'check' | 'assume';

export const SAME_VM_RULES: readonly SameVmRule[] = ['check', 'assume'];

/** By what it is known which virtual machine a domain belongs to. */
export interface DomainIdentity {
  readonly domid: number;
  readonly name: string | undefined;
  /** Its machine (`/local/domain/<id>/vm`); `undefined` for a domain that is gone. */
  readonly vm: string | undefined;
  /** For a stub domain, which serves another one as its device model: the machine of that one. */
  readonly targetVm: string | undefined;
  /** The machine, or that of the domain which it serves, may not be read here. */
  readonly unreadable: boolean;
}

/** A node's text, none, or one that this domain may not read. */
type Seen = { readonly text: string | undefined; readonly unreadable: boolean };

const NOTHING: Seen = { text: undefined, unreadable: false };

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
  const targets = domids.map((_, index) => nodes[index * 3 + 2]?.text);
  const asked = targets.filter((target) => target !== undefined && /^\d{1,5}$/.test(target));
  const machines = await readTexts(
    store,
    asked.map((target) => `${home(target ?? '')}/vm`),
    options,
  );
  return domids.map((domid, index) => {
    const [name, vm, target] = nodes.slice(index * 3, index * 3 + 3);
    const targetVm = machines[asked.indexOf(targets[index])] ?? NOTHING;
    const unreadable = [vm, target, targetVm].some((seen) => seen?.unreadable);
    return { domid, name: name?.text, vm: vm?.text, targetVm: targetVm.text, unreadable };
  });
}

async function readTexts(
  store: Xenstore,
  paths: readonly string[],
  options?: RequestOptions,
): Promise<Seen[]> {
  if (paths.length === 0) return [];
  try {
    const values = await store.readMany(paths, options);
    return values.map((value) => ({
      text: value?.toString('utf8') || undefined,
      unreadable: false,
    }));
  } catch (error) {
    // A driver domain may not read about all of them: what is not known is not the same.
    if (!isXenstoreError(error, 'EACCES')) throw error;
    return await Promise.all(paths.map((path) => readPermitted(store, path, options)));
  }
}

async function readPermitted(
  store: Xenstore,
  path: string,
  options?: RequestOptions,
): Promise<Seen> {
  try {
    return { text: (await store.read(path, options)).toString('utf8'), unreadable: false };
  } catch (error) {
    if (isXenstoreError(error, 'EACCES')) return { text: undefined, unreadable: true };
    if (isXenstoreError(error, 'ENOENT')) return NOTHING;
    throw error;
  }
}

/**
 * Whether two domains are one virtual machine: the same domain, two of one machine (as in a migration
 * to the same host), or one and its stub domain, whichever way round. A domain that is gone has no
 * machine and is the same as no other. `unreadable` where that cannot be told, and the rule is not to
 * assume that they are.
 */
export function compareVms(
  a: DomainIdentity,
  b: DomainIdentity,
  rule: SameVmRule,
): 'same' | 'other' | 'unreadable' {
  if (a.domid === b.domid) return 'same';
  const machines = [a.vm, a.targetVm].filter((vm) => vm !== undefined);
  if (machines.some((vm) => vm === b.vm || vm === b.targetVm)) return 'same';
  if (!a.unreadable && !b.unreadable) return 'other';
  return rule === 'assume' ? 'same' : 'unreadable';
}
