/**
 * A generator of random numbers that a seed determines (xorshift of 32 bits, seeded through a
 * hash). So a failing case can be made again.
 */
export class Random {
  #state: number;

  constructor(seed: number) {
    // The finalizer of MurmurHash3 makes the sequences of neighbouring seeds independent.
    let hash = Math.imul((seed ^ (seed >>> 16)) + 0x9e3779b9, 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    this.#state = (hash ^ (hash >>> 16)) >>> 0 || 1;
  }

  /** Returns a number of 32 bits. */
  next(): number {
    let state = this.#state;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    this.#state = state >>> 0;
    return this.#state;
  }

  /** Returns a number from 0 up to, but without, 1. */
  fraction(): number {
    return this.next() / 2 ** 32;
  }

  /** Returns a whole number from 0 up to, but without, `end`. */
  below(end: number): number {
    return Math.floor(this.fraction() * end);
  }

  between(first: number, last: number): number {
    return first + this.below(last - first + 1);
  }

  /** Returns true with a probability of `share` percent. */
  percent(share: number): boolean {
    return this.below(100) < share;
  }

  pick<T>(list: readonly T[]): T {
    if (list.length === 0) throw new Error('there is nothing to be picked from');
    return list[this.below(list.length)] as T;
  }

  /** Returns a list of `length` values that `make` has made. */
  list<T>(length: number, make: () => T): T[] {
    return Array.from({ length }, make);
  }

  shuffle<T>(list: readonly T[]): T[] {
    const rest = [...list];
    for (let last = rest.length - 1; last > 0; last--) {
      const other = this.below(last + 1);
      [rest[last], rest[other]] = [rest[other] as T, rest[last] as T];
    }
    return rest;
  }
}
