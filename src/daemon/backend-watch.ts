import { listDomainVbds, listVbds, VBD_ROOT } from '../vbd/list-vbds.js';
import type { PublicationIndex } from '../vbd/publication-index.js';
import { ATTACH_NODES, readVbdBackend, type VbdBackend, XenbusState } from '../vbd/vbd-backend.js';
import { parseVbdPath, type VbdPath } from '../vbd/vbd-path.js';
import type { Watch, Xenstore } from '../xenstore/xenstore.js';
import type { VbdJobs } from './vbd-jobs.js';

/** Nodes whose change can make a vbd ours to serve. A change of any other node is ignored. */
const TRIGGER_NODES = ['state', 'params', 'mode', 'dev', 'frontend', 'script'] as const;
/** Nodes from which an attach is planned while no device is published. `opened` follows `state`. */
const PLAN_NODES = ['script', ...ATTACH_NODES] as const;
/** Nodes that tell whether an attached vbd still exists and is still the same one. */
const STATE_NODES = ['frontend', 'state'] as const;
/** Where the kernel reports errors about the vbds of this domain. */
const ERROR_ROOT = 'error/backend/vbd';

/** Options of a `BackendWatch`. */
export interface WatchOptions {
  /** Base names of hotplug scripts. The vbds of these scripts are attached before any request. */
  readonly scripts: readonly string[];
  /** Attach every vbd, whatever its script, even if the toolstack names no script. */
  readonly all: boolean;
  /** Called with the state of a served vbd each time that something may have changed. */
  readonly onState?: ((vbd: VbdPath, state: string | undefined) => void) | undefined;
}

/** A comparison of one vbd with its nodes that is under way. */
interface Reconciliation {
  readonly done: Promise<void>;
  /** `again`: the vbd has changed since the comparison began, so another one must follow. */
  readonly progress: { again: boolean };
}

/** The watch on the backend directory. It attaches vbds that appear and detaches vbds that go. */
export class BackendWatch {
  readonly #store: Xenstore;
  readonly #jobs: VbdJobs;
  readonly #publications: PublicationIndex;
  readonly #options: WatchOptions;
  /** Vbds to reconcile as soon as all events that arrived together are known. */
  readonly #due = new Set<string>();
  readonly #underWay = new Map<string, Reconciliation>();
  readonly #watches: Watch[] = [];
  #accepting = true;

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
   * Starts two watches, and resolves when every existing vbd has been looked at. The store serves
   * the watches of jobs from these two. Rejects with the errors of the store.
   */
  async start(onLost: (error: Error) => void): Promise<void> {
    const onEvent = (path: string): void => this.#onWatchEvent(path);
    const listeners = { [VBD_ROOT]: onEvent, [ERROR_ROOT]: () => undefined };
    for (const [root, listener] of Object.entries(listeners)) {
      const watch = await this.#store.watch(
        root,
        { onEvent: listener, onLost },
        { covering: true },
      );
      this.#watches.push(watch);
    }
    await this.rescan();
  }

  /** Starts no further job. Jobs that are under way go on. */
  stopAccepting(): void {
    this.#accepting = false;
  }

  /** Closes the watches. Call it when no job is under way any more. */
  async stop(): Promise<void> {
    this.stopAccepting();
    this.#publications.retire();
    await Promise.all(this.#watches.map((watch) => watch.close()));
  }

  /** Reconciles every vbd that exists or is known to the jobs, and waits for the end of that. */
  async rescan(): Promise<void> {
    const vbds = [...(await listVbds(this.#store)), ...(await this.#jobs.listKnown())];
    const paths = new Set(vbds.map(({ backend }) => backend));
    await Promise.all([...paths].map((path) => this.#reconcile(path)));
  }

  #onWatchEvent(path: string): void {
    this.#publications.onWatchEvent(path);
    if (!this.#accepting) return;
    const [backend, kind, domid, devid, node] = path.split('/');
    if (backend !== 'backend' || kind !== 'vbd') return;
    if (domid === undefined) {
      this.rescan().catch(() => undefined);
    } else if (devid === undefined) {
      this.#reconcileDomain(domid).catch(() => undefined);
    } else if (node === undefined || TRIGGER_NODES.some((trigger) => trigger === node)) {
      const vbd = parseVbdPath(`${VBD_ROOT}/${domid}/${devid}`);
      // A running attach has its own watches, and notices a change of a node by itself.
      if (vbd && (node === undefined || !this.#jobs.isRunning(vbd))) {
        this.#scheduleReconcile(vbd.backend);
      }
    }
  }

  /** Batches events: a new vbd makes one event per node, all at once, and one read is enough. */
  #scheduleReconcile(path: string): void {
    if (this.#due.size === 0) {
      queueMicrotask(() => {
        const paths = [...this.#due];
        this.#due.clear();
        for (const due of paths) this.#reconcile(due).catch(() => undefined);
      });
    }
    this.#due.add(path);
  }

  /** Finds vbds that went with the directory of a domain. New vbds make events of their own. */
  async #reconcileDomain(domid: string): Promise<void> {
    const existing = new Set(await listDomainVbds(this.#store, domid));
    const known = await this.#jobs.listKnown(Number(domid));
    for (const { backend } of known) if (!existing.has(backend)) this.#scheduleReconcile(backend);
  }

  /**
   * Compares one vbd with its nodes. Never runs twice at the same time for one vbd: a change in the
   * meantime leads to another comparison. Resolves when that has been done as well.
   */
  async #reconcile(path: string): Promise<void> {
    const underWay = this.#underWay.get(path);
    if (underWay !== undefined) {
      underWay.progress.again = true;
      return await underWay.done;
    }
    const progress = { again: false };
    const done = this.#reconcileUntilQuiet(path, progress);
    this.#underWay.set(path, { done, progress });
    try {
      await done;
    } finally {
      this.#underWay.delete(path);
    }
  }

  async #reconcileUntilQuiet(path: string, progress: Reconciliation['progress']): Promise<void> {
    do {
      progress.again = false;
      await this.#reconcileOnce(path);
    } while (progress.again);
  }

  async #reconcileOnce(path: string): Promise<void> {
    const vbd = parseVbdPath(path);
    if (vbd === undefined) return;
    // Most events are about vbds that are served and stay served.
    if (this.#jobs.isAttached(vbd) && (await this.#isServed(vbd))) return;
    const backend = await readVbdBackend(this.#store, vbd, { nodes: PLAN_NODES });
    if (!this.#accepting) return;
    if (!backend.exists) {
      // Not awaited: others may hold what is left of this vbd, and no other vbd must wait for them.
      void this.#jobs.onBackendRemoved(vbd);
    } else if (this.#isOurs(backend.text('script')) && isWaiting(backend)) {
      this.#jobs.prepare(vbd, backend);
    }
  }

  /** Tells whether an attached vbd still exists and does not wait for a device. */
  async #isServed(vbd: VbdPath): Promise<boolean> {
    const backend = await readVbdBackend(this.#store, vbd, { nodes: STATE_NODES });
    if (backend.exists) this.#options.onState?.(vbd, backend.text('state'));
    return backend.exists && !isEarly(backend);
  }

  #isOurs(script: string | undefined): boolean {
    if (this.#options.all) return true;
    return script !== undefined && this.#options.scripts.includes(script.split('/').pop() ?? '');
  }
}

/** Tells whether every node that an attach needs exists, and no device is published yet. */
function isWaiting(backend: VbdBackend): boolean {
  if (!isEarly(backend)) return false;
  if (backend.text('physical-device') !== undefined) return false;
  return (['params', 'mode', 'dev'] as const).every((node) => backend.bytes(node) !== undefined);
}

/** Tells whether blkback is not ready for a device yet, or waits for one. */
function isEarly(backend: VbdBackend): boolean {
  const state = backend.text('state');
  return state === XenbusState.Initialising || state === XenbusState.InitWait;
}
