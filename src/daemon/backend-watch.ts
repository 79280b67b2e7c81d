import { listDomainVbds, listVbds, VBD_ROOT } from '../vbd/list-vbds.js';
import type { PublicationIndex } from '../vbd/publication-index.js';
import { readVbdBackend, type VbdBackend, XenbusState } from '../vbd/vbd-backend.js';
import { parseVbdPath } from '../vbd/vbd-path.js';
import type { Watch, Xenstore } from '../xenstore/xenstore.js';
import type { VbdJobs } from './vbd-jobs.js';

/** Nodes whose change can make a vbd ours to serve; what others write there is no news. */
const TELLING_NODES = ['state', 'params', 'mode', 'dev', 'frontend', 'script'] as const;
/** All that a plan is made from, and what tells whether one is to be made. */
const NODES_OF_A_LOOK = [...TELLING_NODES, 'physical-device'] as const;
/** Where the kernel reports errors about the vbds of this domain. */
const ERROR_ROOT = 'error/backend/vbd';

export interface WatchOptions {
  /** Base names of hotplug scripts whose vbds are prepared unasked. */
  readonly scripts: readonly string[];
  /** Prepare every vbd, whatever its script, also where the toolstack names none. */
  readonly all: boolean;
}

/** Follows the backend directory: prepares vbds as they appear, and ends what has gone away. */
export class BackendWatch {
  readonly #store: Xenstore;
  readonly #jobs: VbdJobs;
  readonly #publications: PublicationIndex;
  readonly #options: WatchOptions;
  /** Vbds to be looked at once the events that have come together are all known. */
  readonly #due = new Set<string>();
  /** Vbds that are being looked at, and whether that has to be done again. */
  readonly #looking = new Map<string, 'once' | 'again'>();
  readonly #watches: Watch[] = [];
  #heeding = true;

  constructor(
    store: Xenstore,
    jobs: VbdJobs,
    publications: PublicationIndex,
    options: WatchOptions,
  ) {
    this.#store = store;
    this.#jobs = jobs;
    this.#publications = publications;
    this.#options = options;
  }

  /**
   * Watches, and looks at every vbd that there is. The jobs' own watches are served from these two.
   * Rejects as the store does.
   */
  async start(onLost: (error: Error) => void): Promise<void> {
    const onEvent = (path: string): void => this.#heed(path);
    const listeners = { [VBD_ROOT]: onEvent, [ERROR_ROOT]: () => undefined };
    for (const [root, listener] of Object.entries(listeners)) {
      const watch = await this.#store.watch(
        root,
        { onEvent: listener, onLost },
        { covering: true },
      );
      this.#watches.push(watch);
    }
    await this.takeStock();
  }

  /** Starts nothing any more; jobs that are under way go on. */
  disregard(): void {
    this.#heeding = false;
  }

  /** To be called when no job is under way any more. */
  async stop(): Promise<void> {
    this.disregard();
    this.#publications.retire();
    await Promise.all(this.#watches.map((watch) => watch.close()));
  }

  /** Looks at every vbd that exists or is known. */
  async takeStock(): Promise<void> {
    const existing = (await listVbds(this.#store)).map(({ backend }) => backend);
    const paths = new Set([...existing, ...(await this.#jobs.listKnown())]);
    await Promise.all([...paths].map((path) => this.#look(path)));
  }

  #heed(path: string): void {
    this.#publications.heed(path);
    if (!this.#heeding) return;
    const [backend, kind, domid, devid, node] = path.split('/');
    if (backend !== 'backend' || kind !== 'vbd') return;
    if (domid === undefined) {
      this.takeStock().catch(() => undefined);
    } else if (devid === undefined) {
      this.#lookAtDomain(domid).catch(() => undefined);
    } else if (node === undefined || TELLING_NODES.some((telling) => telling === node)) {
      const vbd = `${VBD_ROOT}/${domid}/${devid}`;
      // What happens to a node during an attach, the attach itself is told of.
      if (node === undefined || !this.#jobs.isRunning(vbd)) this.#lookSoon(vbd);
    }
  }

  /** A new vbd makes an event for each of its nodes, all at once: one look is enough. */
  #lookSoon(path: string): void {
    if (this.#due.size === 0) {
      queueMicrotask(() => {
        const paths = [...this.#due];
        this.#due.clear();
        for (const due of paths) this.#look(due).catch(() => undefined);
      });
    }
    this.#due.add(path);
  }

  /** A domain's directory has come or gone. What has come within it makes events of its own. */
  async #lookAtDomain(domid: string): Promise<void> {
    const existing = new Set(await listDomainVbds(this.#store, domid));
    const known = await this.#jobs.listKnown(Number(domid));
    for (const path of known) if (!existing.has(path)) this.#lookSoon(path);
  }

  /** One look at a vbd at a time; what happens meanwhile is looked at afterwards. */
  async #look(path: string): Promise<void> {
    if (this.#looking.has(path)) {
      this.#looking.set(path, 'again');
      return;
    }
    try {
      do {
        this.#looking.set(path, 'once');
        await this.#lookOnce(path);
      } while (this.#looking.get(path) === 'again');
    } finally {
      this.#looking.delete(path);
    }
  }

  async #lookOnce(path: string): Promise<void> {
    const vbd = parseVbdPath(path);
    if (vbd === undefined) return;
    const backend = await readVbdBackend(this.#store, vbd, { nodes: NODES_OF_A_LOOK });
    if (!this.#heeding) return;
    if (!backend.exists) {
      await this.#jobs.gone(vbd);
    } else if (this.#isOurs(backend.text('script')) && isWaiting(backend)) {
      this.#jobs.prepare(vbd, backend);
    }
  }

  #isOurs(script: string | undefined): boolean {
    if (this.#options.all) return true;
    return script !== undefined && this.#options.scripts.includes(script.split('/').pop() ?? '');
  }
}

/** Whether all that the plan needs is there, and no device yet. */
function isWaiting(backend: VbdBackend): boolean {
  const { Initialising, InitWait } = XenbusState;
  const state = backend.text('state');
  if (state !== Initialising && state !== InitWait) return false;
  if (backend.text('physical-device') !== undefined) return false;
  return (['params', 'mode', 'dev'] as const).every((node) => backend.bytes(node) !== undefined);
}
