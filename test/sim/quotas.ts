import type { Random } from '../bed/random.js';
import { Refusal } from '../store/memory-tree.js';
import type { Scheduler } from './scheduler.js';

/** What xenstored counts for each domain. */
export type Quota = 'nodes' | 'transactions' | 'watches';

const ALL: readonly Quota[] = ['nodes', 'transactions', 'watches'];

/**
 * The quotas of a driver domain, of which each is used up now and then. The quota of nodes counts
 * for the program and for the driver, and only where a node is new.
 */
export class Quotas {
  readonly #scheduler: Scheduler;
  readonly #random: Random;
  readonly #isOcaml: boolean;
  #usedUp: readonly Quota[] = [];
  /** When this changes; milliseconds of virtual time. */
  #until = 0;

  constructor(scheduler: Scheduler, random: Random) {
    this.#scheduler = scheduler;
    this.#random = random;
    this.#isOcaml = random.percent(50);
  }

  /** Leaves these quotas used up, and no other one, from now on. */
  fix(...usedUp: readonly Quota[]): void {
    this.#usedUp = usedUp;
    this.#until = Number.POSITIVE_INFINITY;
  }

  isUsedUp(quota: Quota): boolean {
    while (this.#until <= this.#scheduler.now) this.#change();
    return this.#usedUp.includes(quota);
  }

  /** Throws the error of the C or OCaml xenstored if the quota is used up. */
  require(quota: Quota): void {
    if (!this.isUsedUp(quota)) return;
    this.#scheduler.tell('xenstored', () => `refuses a request: the quota of ${quota} is used up`);
    if (this.#isOcaml) throw new Refusal('EQUOTA');
    throw new Refusal(quota === 'watches' ? 'E2BIG' : 'ENOSPC');
  }

  /**
   * Throws the same for a new node. Within a transaction, the quota may be used up by others only
   * afterwards, which the end of the transaction finds out.
   */
  requireNode(tx: number): void {
    if (tx !== 0 && this.isUsedUp('nodes') && this.#random.percent(30)) return;
    this.require('nodes');
  }

  #change(): void {
    const random = this.#random;
    const isFree = this.#usedUp.length > 0;
    const one = random.pick(ALL);
    this.#usedUp = isFree ? [] : random.percent(70) ? [one] : ALL;
    this.#until += random.fraction() * random.pick(isFree ? [5, 50, 1000] : [1, 5, 50, 3000]);
  }
}
