import type { RequestOptions, Xenstore } from '../xenstore/xenstore.js';
import { listDomainVbds, listVbds, VBD_ROOT } from './list-vbds.js';
import { PUBLICATION_NODES, readPublications, type VbdPublication } from './publications.js';
import { parseVbdPath } from './vbd-path.js';

/** Watching it costs nothing: nobody changes it, and it need not exist. */
const QUIET_PATH = 'domid';

/**
 * The publications of this domain's backends, kept up to date by the events of a watch: what has
 * changed is read again when somebody asks. It is for one connection; the next one needs its own.
 */
export class PublicationIndex {
  readonly #store: Xenstore;
  readonly #known = new Map<string, VbdPublication>();
  /** Backend paths that are to be read again, and `backend/vbd/<domid>` or all for those below. */
  #stale = new Set<string>([VBD_ROOT]);
  #refreshing: Promise<void> | undefined;
  #retired = false;

  constructor(store: Xenstore) {
    this.#store = store;
  }

  /** To be told of every event of a watch on `backend/vbd` that was made before the first `list`. */
  onWatchEvent(path: string): void {
    const [root, kind, domid, devid, node] = path.split('/');
    if (root !== 'backend' || kind !== 'vbd') return;
    if (node !== undefined && !PUBLICATION_NODES.some((name) => name === node)) return;
    this.#stale.add([root, kind, domid, devid].filter((part) => part !== undefined).join('/'));
  }

  /** No event comes any more: from now on XenStore is read for each call. */
  retire(): void {
    this.#retired = true;
  }

  /** Those that were committed before the call, and perhaps some more. */
  async list(options: RequestOptions = {}): Promise<readonly VbdPublication[]> {
    if (this.#retired) {
      return await readPublications(this.#store, await listVbds(this.#store, options), options);
    }
    await this.#catchUp(options);
    // What was announced before may still be on its way from xenstored into the index.
    while (this.#stale.size > 0 || this.#refreshing !== undefined) {
      options.signal?.throwIfAborted();
      this.#refreshing ??= this.#refresh().finally(() => {
        this.#refreshing = undefined;
      });
      await this.#refreshing;
    }
    return [...this.#known.values()];
  }

  /**
   * Waits until every event has come that was caused before this call. Events come in order, and the
   * first one of a new watch is sent when it is made (docs/misc/xenstore.txt, WATCH).
   */
  async #catchUp({ signal }: RequestOptions): Promise<void> {
    let settle = (_error?: Error): void => {};
    const caughtUp = new Promise<void>((resolve, reject) => {
      settle = (error) => (error ? reject(error) : resolve());
    });
    // It is awaited below, or the watch could not be made.
    caughtUp.catch(() => undefined);
    const abort = (): void => settle(signal?.reason);
    signal?.addEventListener('abort', abort, { once: true });
    try {
      const listener = { onEvent: () => settle(), onLost: settle };
      const watch = await this.#store.watch(QUIET_PATH, listener, { signal });
      try {
        await caughtUp;
      } finally {
        // Not awaited: nothing depends on it.
        void watch.close();
      }
    } finally {
      signal?.removeEventListener('abort', abort);
    }
  }

  async #refresh(): Promise<void> {
    const stale = this.#stale;
    this.#stale = new Set();
    try {
      const listed = new Set<string>();
      for (const path of stale) for (const backend of await this.#expand(path)) listed.add(backend);
      const vbds = [...listed].map(parseVbdPath).filter((vbd) => vbd !== undefined);
      const found = await readPublications(this.#store, vbds);
      for (const path of listed) this.#known.delete(path);
      for (const publication of found) this.#known.set(publication.vbd.backend, publication);
    } catch (error) {
      for (const path of stale) this.#stale.add(path);
      throw error;
    }
  }

  /** The backend paths at and below a path that has changed: those known, and those there are now. */
  async #expand(path: string): Promise<string[]> {
    if (parseVbdPath(path) !== undefined) return [path];
    const known = [...this.#known.keys()].filter((backend) => backend.startsWith(`${path}/`));
    const domid = path.split('/')[2];
    const present =
      domid === undefined
        ? (await listVbds(this.#store)).map(({ backend }) => backend)
        : await listDomainVbds(this.#store, domid);
    return [...known, ...present];
  }
}
