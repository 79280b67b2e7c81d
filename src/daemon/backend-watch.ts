import { listDomainVbds, listVbds, VBD_ROOT } from '../vbd/list-vbds.js';
import type { PublicationIndex } from '../vbd/publication-index.js';
import { ATTACH_NODES, readVbdBackend, type VbdBackend, XenbusState } from '../vbd/vbd-backend.js';
import { parseVbdPath, type VbdPath } from '../vbd/vbd-path.js';
import type { Watch, Xenstore } from '../xenstore/xenstore.js';
import type { VbdJobs } from './vbd-jobs.js';

/** Nodes whose change can make a vbd ours to serve; what others write there is no news. */
const TRIGGER_NODES = ['state', 'params', 'mode', 'dev', 'frontend', 'script'] as const;
/** All that an attach of a vbd is made from that has no device yet; `opened` comes after `state`. */
const PLAN_NODES = ['script', ...ATTACH_NODES] as const;
/** What tells whether a vbd that is attached is there still, and the same. */
const STATE_NODES = ['frontend', 'state'] as const;
/** Where the kernel reports errors about the vbds of this domain. */
const ERROR_ROOT = 'error/backend/vbd';

export interface WatchOptions {
  /** Base names of hotplug scripts whose vbds are prepared unasked. */
  readonly scripts: readonly string[];
  /** Prepare every vbd, whatever its script, also where the toolstack names none. */
  readonly all: boolean;
  /** Told the state of a vbd that is served, each time that something may have changed. */
  readonly onState?: ((vbd: VbdPath, state: string | undefined) => void) | undefined;
}

/** A vbd that is being compared with its nodes. */
interface Reconciliation {
  readonly done: Promise<void>;
  /** `again`: something has happened to it since it began. */
  readonly progress: { again: boolean };
}

/** Follows the backend directory: prepares vbds as they appear, and ends what has gone away. */
export class BackendWatch {
  readonly #store: Xenstore;
  readonly #jobs: VbdJobs;
  readonly #publications: PublicationIndex;
  readonly #options: WatchOptions;
  /** Vbds to be reconciled once the events that have come together are all known. */
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
   * Watches, and resolves when every vbd that there is has been looked at. The jobs' own watches are
   * served from these two. Rejects as the store does.
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

  /** Starts nothing any more; jobs that are under way go on. */
  stopAccepting(): void {
    this.#accepting = false;
  }

  /** To be called when no job is under way any more. */
  async stop(): Promise<void> {
    this.stopAccepting();
    this.#publications.retire();
    await Promise.all(this.#watches.map((watch) => watch.close()));
  }

  /** Reconciles every vbd that exists or is known, and waits for that. */
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
      // What happens to a node during an attach, the attach itself is told of.
      if (vbd && (node === undefined || !this.#jobs.isRunning(vbd))) {
        this.#scheduleReconcile(vbd.backend);
      }
    }
  }

  /** A new vbd makes an event for each of its nodes, all at once: reading them once is enough. */
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

  /** A domain's directory has come or gone. What has come within it makes events of its own. */
  async #reconcileDomain(domid: string): Promise<void> {
    const existing = new Set(await listDomainVbds(this.#store, domid));
    const known = await this.#jobs.listKnown(Number(domid));
    for (const { backend } of known) if (!existing.has(backend)) this.#scheduleReconcile(backend);
  }

  /**
   * Compares one vbd with its nodes, once at a time: what happens meanwhile is looked at afterwards.
   * Resolves when that has been done as well.
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
    // Most events are about vbds that are served, and go on to be.
    if (this.#jobs.isAttached(vbd) && (await this.#isServed(vbd))) return;
    const backend = await readVbdBackend(this.#store, vbd, { nodes: PLAN_NODES });
    if (!this.#accepting) return;
    if (!backend.exists) {
      // Not awaited: what is left of it may be held by others, and no other vbd is to wait for that.
      void this.#jobs.onBackendRemoved(vbd);
    } else if (this.#isOurs(backend.text('script')) && isWaiting(backend)) {
      this.#jobs.prepare(vbd, backend);
    }
  }

  /** Whether a vbd that was attached is there and does not wait for a device. */
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

/** Whether all that the plan needs is there, and no device yet. */
function isWaiting(backend: VbdBackend): boolean {
  if (!isEarly(backend)) return false;
  if (backend.text('physical-device') !== undefined) return false;
  return (['params', 'mode', 'dev'] as const).every((node) => backend.bytes(node) !== undefined);
}

/** Whether blkback is not ready for a device yet, or waits for one. */
function isEarly(backend: VbdBackend): boolean {
  const state = backend.text('state');
  return state === XenbusState.Initialising || state === XenbusState.InitWait;
}
