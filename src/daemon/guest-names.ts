/** What is known of a name; a guest may have none, or one that may not be read here. */
export interface KnownName {
  readonly name: string | undefined;
}

/** A guest may be renamed, and a number may come back with another guest; milliseconds. */
const KEPT_MS = 10_000;
/** Nobody waits longer for a name; milliseconds. */
const PATIENCE_MS = 500;

/** Names of guests for those who follow events, read once in a while and never waited for. */
export class GuestNames {
  /** Told when another name is known. */
  onKnown: () => void = () => {};
  readonly #read: (domid: number, signal: AbortSignal) => Promise<string | undefined>;
  /** `undefined` while it is being read. */
  readonly #names = new Map<number, KnownName | undefined>();

  constructor(read: (domid: number, signal: AbortSignal) => Promise<string | undefined>) {
    this.#read = read;
  }

  /** `undefined` where it is not known yet: `onKnown` tells when it is, in half a second at the most. */
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
