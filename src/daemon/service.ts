import { errorMessage } from '../errors.js';
import { HotplugError } from '../hotplug/hotplug-error.js';
import { otherDiskError } from '../hotplug/other-disk.js';
import { reportFailure } from '../hotplug/report.js';
import { rememberStorage } from '../topology/remember-storage.js';
import { quote } from '../util/one-line.js';
import { pause } from '../util/retry.js';
import { VBD_ROOT } from '../vbd/list-vbds.js';
import { OpenVbds } from '../vbd/open-vbds.js';
import { requireOwnDomain } from '../vbd/own-domain.js';
import { PublicationIndex } from '../vbd/publication-index.js';
import { parseOtherPath, parseVbdPath } from '../vbd/vbd-path.js';
import { indexedVbdUses } from '../vbd/vbd-uses.js';
import type { Xenstore } from '../xenstore/xenstore.js';
import { BackendWatch, type WatchOptions } from './backend-watch.js';
import type { ControlRequest } from './protocol.js';
import { Start } from './start.js';
import { type JobOptions, VbdJobs } from './vbd-jobs.js';

export interface ServiceOptions extends WatchOptions {
  readonly jobs: JobOptions;
  readonly connect: (signal: AbortSignal) => Promise<Xenstore>;
  /** Told, for people, what happens to the service itself. */
  readonly onNotice: (text: string) => void;
  /** Stock has been taken: called once for every connection. */
  readonly onReady: () => void;
}

/** What running jobs get to finish by themselves when the service ends, and then for roll-back. */
const DRAIN_MS = 7000;
/** How long a request waits for the first stock-taking: a client whose request started the daemon. */
const START_PATIENCE_MS = 1500;
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 2000;

/** Serves the vbds of this domain for as long as it runs, through any number of xenstoreds. */
export class Service {
  readonly #options: ServiceOptions;
  /** Of the present connection; without one nobody is served. */
  #jobs: VbdJobs | undefined;
  #store: Xenstore | undefined;
  readonly #start = new Start();

  /** What it has read of the kernel's vbds holds for every connection. */
  readonly #openVbds: OpenVbds;
  readonly #surroundings = rememberStorage();

  constructor(options: ServiceOptions) {
    this.#options = options;
    this.#openVbds = new OpenVbds(options.jobs.sysfs);
  }

  /** Carries out what a hotplug script asks for. */
  async handle({ action, path }: ControlRequest): Promise<void> {
    const vbd = parseVbdPath(path);
    const other = parseOtherPath(path);
    const named = vbd ?? other;
    if (named === undefined) {
      throw new HotplugError(`${quote(path)} is no backend path of a vbd`, { code: 'EVBD' });
    }
    await this.#start.wait(START_PATIENCE_MS);
    const [jobs, store] = [this.#jobs, this.#store];
    if (jobs === undefined || store === undefined) {
      throw new HotplugError('the daemon has no connection to xenstored', {
        code: 'EUNAVAILABLE',
      });
    }
    await requireOwnDomain(store, named);
    if (vbd === undefined) {
      const error = otherDiskError(path);
      await reportFailure(store, named, error, {}).catch(() => undefined);
      throw error;
    }
    await jobs[action](vbd);
  }

  /** Whether xenstored answers; without a connection there is nothing to do but to make one. */
  async isWell(signal: AbortSignal): Promise<boolean> {
    await this.#store?.readMany([VBD_ROOT], { signal });
    return true;
  }

  /** Runs until `signal` is aborted; then lets running jobs finish, or rolls them back. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await using store = await this.#connect(signal);
        await this.#serve(store, signal);
      } catch (error) {
        if (signal.aborted) return;
        this.#options.onNotice(`${errorMessage(error)}; connecting again`);
      }
    }
  }

  /** Tries for as long as it takes, ever less often: without xenstored there is nothing else to do. */
  async #connect(signal: AbortSignal): Promise<Xenstore> {
    for (let bound = FIRST_PAUSE_MS; ; bound = Math.min(bound * 2, LONGEST_PAUSE_MS)) {
      try {
        return await this.#options.connect(signal);
      } catch (error) {
        signal.throwIfAborted();
        if (bound === FIRST_PAUSE_MS) this.#options.onNotice(errorMessage(error));
      }
      await pause(bound / 2 + (Math.random() * bound) / 2, signal);
    }
  }

  async #serve(store: Xenstore, signal: AbortSignal): Promise<void> {
    const publications = new PublicationIndex(store);
    const uses = indexedVbdUses(publications, this.#openVbds);
    const surroundings = this.#surroundings;
    const jobs = new VbdJobs(store, { ...this.#options.jobs, uses, surroundings });
    const watch = new BackendWatch(store, jobs, publications, this.#options);
    const ended = new Promise<never>((_, reject) => {
      watch.start(reject).then(() => {
        this.#jobs = jobs;
        this.#store = store;
        this.#start.done();
        this.#options.onReady();
      }, reject);
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
    try {
      await ended;
    } finally {
      this.#jobs = undefined;
      this.#store = undefined;
      watch.stopAccepting();
      await drain(jobs);
      await watch.stop();
    }
  }
}

async function drain(jobs: VbdJobs): Promise<void> {
  const patience = new AbortController();
  const late = pause(DRAIN_MS, patience.signal).catch(() => undefined);
  await Promise.race([jobs.settled(), late]);
  patience.abort();
  await jobs.abort(new HotplugError('the daemon is being stopped', { code: 'ECANCELED' }));
}
