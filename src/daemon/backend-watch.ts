import { listVbds, VBD_ROOT } from '../xenstore/list-vbds.js';
import { readVbdBackend, type VbdBackend, XenbusState } from '../xenstore/vbd-backend.js';
import { parseVbdPath } from '../xenstore/vbd-path.js';
import type { Watch, Xenstore } from '../xenstore/xenstore.js';
import type { VbdJobs } from './vbd-jobs.js';

/** Nodes whose change can make a vbd ours to serve; what others write there is no news. */
const TELLING_NODES = ['state', 'params', 'mode', 'dev', 'frontend', 'script'];

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
  readonly #options: WatchOptions;
  readonly #looking = new Map<string, 'once' | 'again'>();
  #watch: Watch | undefined;

  constructor(store: Xenstore, jobs: VbdJobs, options: WatchOptions) {
    this.#store = store;
    this.#jobs = jobs;
    this.#options = options;
  }

  /** Watches, and looks at every vbd that there is. Rejects as the store does. */
  async start(onLost: (error: Error) => void): Promise<void> {
    const onEvent = (path: string): void => this.#heed(path);
    this.#watch = await this.#store.watch(VBD_ROOT, { onEvent, onLost });
    await this.takeStock();
  }

  async stop(): Promise<void> {
    await this.#watch?.close();
  }

  /** Looks at every vbd that exists or is known. */
  async takeStock(): Promise<void> {
    const existing = (await listVbds(this.#store)).map(({ backend }) => backend);
    const paths = new Set([...existing, ...(await this.#jobs.listKnown())]);
    await Promise.all([...paths].map((path) => this.#look(path)));
  }

  #heed(path: string): void {
    const [backend, kind, domid, devid, node] = path.split('/');
    if (backend !== 'backend' || kind !== 'vbd') return;
    if (devid === undefined) {
      // A whole domain, or everything, has come or gone.
      this.takeStock().catch(() => undefined);
      return;
    }
    if (node !== undefined && !TELLING_NODES.includes(node)) return;
    this.#look(`${VBD_ROOT}/${domid}/${devid}`).catch(() => undefined);
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
    const [backend, [script]] = await Promise.all([
      readVbdBackend(this.#store, vbd),
      this.#store.readMany([`${path}/script`]),
    ]);
    if (!backend.exists) {
      await this.#jobs.gone(vbd);
    } else if (this.#isOurs(script?.toString('utf8')) && isWaiting(backend)) {
      this.#jobs.prepare(vbd);
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
