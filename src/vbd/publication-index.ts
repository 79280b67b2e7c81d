import type { Xenstore } from '../xenstore/xenstore.js';
import {
  INDEXED_NODES,
  readPublications,
  type VbdPublication,
  type VbdPublications,
} from './list-publications.js';
import { listDomainVbds, listVbds, VBD_ROOT } from './list-vbds.js';
import { parseVbdPath, type VbdPath } from './vbd-path.js';

/** A path whose watch costs nothing: nobody changes the node, and the node need not exist. */
const QUIET_PATH = 'domid';

/**
 * An index of the publications of this domain's backends. The events of a watch keep it up to date:
 * nodes that have changed are read again at the next call. An index serves one connection only; the
 * next connection needs its own.
 */
export class PublicationIndex {
  readonly #store: Xenstore;
  /** The vbds that blkback has taken up. */
  readonly #probed = new Map<string, VbdPath>();
  readonly #published = new Map<string, VbdPublication>();
  /**
   * The backend paths that have to be read again. `backend/vbd` and `backend/vbd/<domid>` stand for
   * all backend paths below them.
   */
  #stale = new Set<string>([VBD_ROOT]);
  #refreshing: Promise<void> | undefined;
  #retired = false;

  constructor(store: Xenstore) {
    this.#store = store;
  }

  /**
   * Takes an event of a watch on `backend/vbd`. The watch must be made before the first `list`, and
   * every event of the watch must be passed on.
   */
  onWatchEvent(path: string): void {
    const [root, kind, domid, devid, node] = path.split('/');
    if (root !== 'backend' || kind !== 'vbd') return;
    if (node !== undefined && !INDEXED_NODES.some((name) => name === node)) return;
    this.#stale.add([root, kind, domid, devid].filter((part) => part !== undefined).join('/'));
  }

  /** Learns that no event will come any more. From now on, each call reads XenStore. */
  retire(): void {
    this.#retired = true;
  }

  /**
   * Lists the vbds and publications that were committed before the call, and perhaps some later
   * ones. Throws as the store does.
   */
  async list(): Promise<VbdPublications> {
    if (this.#retired) return await readPublications(this.#store, await listVbds(this.#store));
    await this.#catchUp();
    // Values whose change was announced before may still be on their way from xenstored into the
    // index.
    while (this.#stale.size > 0 || this.#refreshing !== undefined) {
      this.#refreshing ??= this.#refresh().finally(() => {
        this.#refreshing = undefined;
      });
      await this.#refreshing;
    }
    return {
      probed: [...this.#probed.values()],
      publications: [...this.#published.values()],
    };
  }

  /**
   * Waits until every event that was caused before this call has come. Events come in order, and
   * xenstored sends the first event of a new watch when the watch is made (docs/misc/xenstore.txt,
   * WATCH).
   */
  async #catchUp(): Promise<void> {
    let settle = (_error?: Error): void => {};
    const caughtUp = new Promise<void>((resolve, reject) => {
      settle = (error) => (error ? reject(error) : resolve());
    });
    // The promise is awaited below, unless the watch could not be made.
    caughtUp.catch(() => undefined);
    const listener = { onEvent: () => settle(), onLost: settle };
    const watch = await this.#store.watch(QUIET_PATH, listener);
    try {
      await caughtUp;
    } finally {
      // Not awaited, because nothing depends on the end of the watch.
      void watch.close();
    }
  }

  async #refresh(): Promise<void> {
    const stale = this.#stale;
    this.#stale = new Set();
    try {
      const listed = new Set<string>();
      for (const path of stale) for (const backend of await this.#expand(path)) listed.add(backend);
      const vbds = [...listed].map(parseVbdPath).filter((vbd) => vbd !== undefined);
      const { probed, publications } = await readPublications(this.#store, vbds);
      for (const path of listed) {
        this.#probed.delete(path);
        this.#published.delete(path);
      }
      for (const vbd of probed) this.#probed.set(vbd.backend, vbd);
      for (const found of publications) this.#published.set(found.vbd.backend, found);
    } catch (error) {
      for (const path of stale) this.#stale.add(path);
      throw error;
    }
  }

  /**
   * Returns the backend paths at and below a path that has changed: those in the index, and those
   * that exist now.
   */
  async #expand(path: string): Promise<string[]> {
    if (parseVbdPath(path) !== undefined) return [path];
    const all = new Set([...this.#probed.keys(), ...this.#published.keys()]);
    const known = [...all].filter((backend) => backend.startsWith(`${path}/`));
    const domid = path.split('/')[2];
    const present =
      domid === undefined
        ? (await listVbds(this.#store)).map(({ backend }) => backend)
        : await listDomainVbds(this.#store, domid);
    return [...known, ...present];
  }
}
