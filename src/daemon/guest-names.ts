/**
 * The result of reading a name. `name` is `undefined` for a guest that has no name, or whose name
 * could not be read.
 */
export interface KnownName {
  readonly name: string | undefined;
}

/**
 * How long a name is kept; milliseconds. A guest may be renamed, and another guest may get the same
 * domain number.
 */
const KEPT_MS = 10_000;
/** The longest time for which anything waits for a name; milliseconds. */
const PATIENCE_MS = 500;

/** A cache of the names of guests, for readers of events. Callers never wait for a name. */
export class GuestNames {
  /** Called each time that one more name has become known. */
  onKnown: () => void = () => {};
  readonly #read: (domid: number, signal: AbortSignal) => Promise<string | undefined>;
  /** The value is `undefined` while the name is being read. */
  readonly #names = new Map<number, KnownName | undefined>();

  constructor(read: (domid: number, signal: AbortSignal) => Promise<string | undefined>) {
    this.#read = read;
  }

  /**
   * Returns what is known about the name of a guest, or `undefined` if it is still being read. In
   * the second case, `onKnown` is called when the reading is over, after half a second at most.
   */
  get(domid: number): KnownName | undefined {
    if (!this.#names.has(domid)) {
      this.#names.set(domid, undefined);
      void this.#learn(domid);
    }
    return this.#names.get(domid);
  }

  async #learn(domid: number): Promise<void> {
    const name = await this.#read(domid, AbortSignal.timeout(PATIENCE_MS)).catch(() => undefined);
    this.#names.set(domid, { name });
    setTimeout(() => this.#names.delete(domid), KEPT_MS).unref();
    this.onKnown();
  }
}
