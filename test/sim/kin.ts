import type { Random } from '../bed/random.js';
import type { OpenDisk } from './blkback.js';
import { mappersOf } from './kernel/nodes.js';
import type { SimulatedStore } from './store.js';

/** How a domain of an even number belongs to the domain before it. */
type Bond = 'stub domain' | 'migration';

/**
 * Which domains are one virtual machine. Of each pair (1 and 2, 3 and 4, …), the second domain is
 * the stub domain of the first one, or both are the ends of a migration to the same host.
 */
export class Kin {
  readonly #store: SimulatedStore;
  readonly #random: Random;
  readonly #bonds = new Map<number, Bond>();

  constructor(store: SimulatedStore, random: Random) {
    this.#store = store;
    this.#random = random;
  }

  /** Makes the nodes of a domain. */
  appear(domid: number): void {
    const first = domid - ((domid + 1) % 2);
    const isFirst = domid === first;
    const bond = this.#bonds.get(first) ?? this.#random.pick(['stub domain', 'migration'] as const);
    this.#bonds.set(first, bond);
    const isStub = !isFirst && bond === 'stub domain';
    this.#store.write('toolstack', {
      [`/local/domain/${domid}/vm`]: `/vm/${isStub ? domid : first}`,
      [`/local/domain/${domid}/target`]: isStub ? String(first) : undefined,
    });
  }

  /** Removes the nodes of a domain, perhaps: the disk of a domain that is gone may still be open. */
  vanish(domid: number): void {
    if (this.#random.percent(40)) {
      this.#store.write('toolstack', { [`/local/domain/${domid}`]: undefined });
    }
  }

  /** Tells whether two users of the same bytes are one virtual machine, which may share them. */
  mayShare(a: OpenDisk, b: OpenDisk): boolean {
    const [first, second] = [a.instance.domid, b.instance.domid];
    if (Math.ceil(first / 2) !== Math.ceil(second / 2)) return false;
    // A key of its own makes other bytes of them.
    return !isEncrypted(a) && !isEncrypted(b);
  }
}

function isEncrypted({ disk }: OpenDisk): boolean {
  return mappersOf(disk).some(({ live }) => live?.type === 'crypt');
}
