import { errorMessage } from '../errors.js';
import { isEmptyDrive } from '../hotplug/empty-drive.js';
import { listDomainVbds, listVbds, VBD_ROOT } from '../vbd/list-vbds.js';
import type { PublicationIndex } from '../vbd/publication-index.js';
import { ATTACH_NODES, readVbdBackend, type VbdBackend } from '../vbd/vbd-backend.js';
import { parseVbdPath, type VbdPath } from '../vbd/vbd-path.js';
import type { Watch, Xenstore } from '../xenstore/xenstore.js';
import { isRefusal } from '../xenstore/xenstore-error.js';
import { isUnserved, isWaiting } from './is-waiting.js';
import { Reconciler } from './reconciler.js';
import type { VbdJobs } from './vbd-jobs.js';

/** Nodes whose change can make a vbd ours to serve. A change of any other node is ignored. */
const TRIGGER_NODES = ['state', 'params', 'mode', 'dev', 'frontend', 'script'] as const;
/** Nodes from which an attach is planned while no device is published. `opened` follows `state`. */
const PLAN_NODES = ['script', ...ATTACH_NODES] as const;
/** Nodes that tell whether an attached vbd still exists and is still the same one. */
const STATE_NODES = ['frontend', 'physical-device', 'state'] as const;
/** Where the kernel reports errors about the vbds of this domain. */
const ERROR_ROOT = 'error/backend/vbd';

/** Options of a `BackendWatch`. */
export interface WatchOptions {
  /** Base names of hotplug scripts. The vbds of these scripts are attached before any request. */
  readonly scripts: readonly string[];
  /** Attach every vbd, whatever its script, even if the toolstack names no script. */
  readonly all: boolean;
  /** Called with a sentence about vbds that cannot be served. */
  readonly onNotice?: ((text: string) => void) | undefined;
  /** Called with the state of a served vbd each time that something may have changed. */
  readonly onState?: ((vbd: VbdPath, state: string | undefined) => void) | undefined;
}

/** The watch on the backend directory. It attaches vbds that appear and detaches vbds that go. */
export class BackendWatch {
  readonly #store: Xenstore;
  readonly #jobs: VbdJobs;
  readonly #publications: PublicationIndex;
  readonly #options: WatchOptions;
  readonly #reconciler = new Reconciler((path) => this.#compare(path));
  /** Vbds that have changed during a job, and are reconciled when the job has ended. */
  readonly #afterJob = new Set<string>();
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
   * the watches of jobs from these two. Rejects with the errors of the store. A vbd whose nodes
   * xenstored refuses to tell keeps no other vbd from being served.
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
    // Device-mapper is asked first: where it does not answer, no attach has begun yet.
    const owners = await this.#jobs.listLayerOwners();
    const onFailed = (path: string, error: unknown): void => this.#onUnreadable(path, error);
    const vbds = await listVbds(this.#store, {}, onFailed);
    await this.#reconcileAll([...vbds, ...this.#jobs.listKnown(), ...owners], onFailed);
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

  /**
   * Reconciles every vbd that exists, is known to the jobs or has left a mapper device, and waits
   * for the end of that. Where device-mapper does not answer, rejects after all others.
   */
  async rescan(): Promise<void> {
    await this.#reconcileAll([...(await listVbds(this.#store)), ...this.#jobs.listKnown()]);
    await this.#reconcileAll(await this.#jobs.listLayerOwners());
  }

  /** Reconciles some vbds at the same time. Throws the first error, unless `onFailed` takes it. */
  async #reconcileAll(
    vbds: readonly VbdPath[],
    onFailed?: (path: string, error: unknown) => void,
  ): Promise<void> {
    const paths = new Set(vbds.map(({ backend }) => backend));
    const reconcile = async (path: string): Promise<void> => {
      try {
        await this.#reconciler.reconcile(path);
      } catch (error) {
        if (onFailed === undefined) throw error;
        onFailed(path, error);
      }
    };
    await Promise.all([...paths].map(reconcile));
  }

  #onUnreadable(path: string, error: unknown): void {
    if (!isRefusal(error)) throw error;
    this.#options.onNotice?.(
      `${path} is not served before its nodes change, because they cannot be read: ${errorMessage(error)}`,
    );
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
      if (vbd !== undefined) this.#onVbdEvent(vbd, node);
    }
  }

  #onVbdEvent(vbd: VbdPath, node: string | undefined): void {
    if (node !== undefined && this.#jobs.isRunning(vbd)) {
      // The attach has read the nodes already, and a guest's state is reported of attached vbds only.
      void this.#reconcileAfterJob(vbd);
      return;
    }
    // A write of the same value counts, too: a target that was missing may be there by now.
    if (node === 'params' || node === 'mode') this.#jobs.forgetFailure(vbd);
    this.#reconciler.schedule(vbd.backend);
  }

  /** Reconciles a vbd once when the job that is under way has ended, however much has changed. */
  async #reconcileAfterJob(vbd: VbdPath): Promise<void> {
    if (this.#afterJob.has(vbd.backend)) return;
    this.#afterJob.add(vbd.backend);
    await this.#jobs.idle(vbd);
    this.#afterJob.delete(vbd.backend);
    if (this.#accepting) this.#reconciler.schedule(vbd.backend);
  }

  /** Finds vbds that went with the directory of a domain. New vbds make events of their own. */
  async #reconcileDomain(domid: string): Promise<void> {
    const existing = new Set(await listDomainVbds(this.#store, domid));
    const scheduleGone = (vbds: readonly VbdPath[]): void => {
      for (const vbd of vbds) {
        const isGone = vbd.domid === Number(domid) && !existing.has(vbd.backend);
        if (isGone) this.#reconciler.schedule(vbd.backend);
      }
    };
    scheduleGone(this.#jobs.listKnown());
    // Comes last: device-mapper may not answer.
    scheduleGone(await this.#jobs.listLayerOwners());
  }

  async #compare(path: string): Promise<void> {
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
      await this.#serve(vbd, backend);
    }
  }

  /** Attaches a vbd that waits for a device, unless it is a drive that needs none. */
  async #serve(vbd: VbdPath, backend: VbdBackend): Promise<void> {
    if (isEmptyDrive(backend) && (await this.#isConnected(vbd))) return;
    if (!this.#accepting) return;
    // The job may be about a vbd of the same name that was there before.
    if (this.#jobs.isBusy(vbd)) void this.#reconcileAfterJob(vbd);
    else this.#jobs.prepare(vbd, backend);
  }

  async #isConnected(vbd: VbdPath): Promise<boolean> {
    const backend = await readVbdBackend(this.#store, vbd, { nodes: ['hotplug-status'] });
    return backend.text('hotplug-status') === 'connected';
  }

  /** Tells whether an attached vbd still exists and does not wait for a device. */
  async #isServed(vbd: VbdPath): Promise<boolean> {
    const backend = await readVbdBackend(this.#store, vbd, { nodes: STATE_NODES });
    if (backend.exists) this.#options.onState?.(vbd, backend.text('state'));
    return backend.exists && !isUnserved(backend);
  }

  #isOurs(script: string | undefined): boolean {
    if (this.#options.all) return true;
    return script !== undefined && this.#options.scripts.includes(script.split('/').pop() ?? '');
  }
}
