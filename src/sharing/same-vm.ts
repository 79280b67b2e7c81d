import type { RequestOptions, Xenstore } from '../xenstore/xenstore.js';
import { isXenstoreError } from '../xenstore/xenstore-error.js';

/**
 * How to treat a domain whose virtual machine may not be read. A driver domain meets such domains,
 * because it may read only its own. `check` treats the domain as another virtual machine, `assume`
 * as the same one.
 */
export type SameVmRule = 'check' | 'assume';

export const SAME_VM_RULES: readonly SameVmRule[] = ['check', 'assume'];

/** The facts that tell which virtual machine a domain belongs to. */
export interface DomainIdentity {
  readonly domid: number;
  readonly name: string | undefined;
  /** Its virtual machine (`/local/domain/<id>/vm`); `undefined` for a domain that is gone. */
  readonly vm: string | undefined;
  /** For a stub domain: the virtual machine of the domain that it serves as a device model. */
  readonly targetVm: string | undefined;
  /**
   * Whether this domain may not read the virtual machine of the domain, or of the domain that it
   * serves.
   */
  readonly unreadable: boolean;
}

/**
 * The text of a node. The text is `undefined` for a node that does not exist or may not be read.
 */
type Seen = { readonly text: string | undefined; readonly unreadable: boolean };

const NOTHING: Seen = { text: undefined, unreadable: false };

/**
 * Reads which virtual machines some domains belong to, in two round trips to XenStore. Throws as
 * the store does.
 */
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
    // A driver domain may not read about all of these domains. An unknown virtual machine does not
    // count as the same one.
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
 * Returns whether two domains are one virtual machine. They are if both are the same domain, if
 * both name the same virtual machine (as in a migration to the same host), or if one is the stub
 * domain of the other. A domain that is gone has no virtual machine and equals no other domain.
 *
 * Returns `unreadable` where this cannot be told and the rule does not assume that they are the
 * same.
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
