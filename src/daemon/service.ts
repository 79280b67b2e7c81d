import { errorCode, errorMessage } from '../errors.js';
import { HotplugError } from '../hotplug/hotplug-error.js';
import { otherDiskError } from '../hotplug/other-disk.js';
import { reportFailure } from '../hotplug/report-to-toolstack.js';
import { withXapiReport } from '../hotplug/xapi.js';
import { openStorageLookup } from '../topology/open-storage-lookup.js';
import { atMost } from '../util/at-most.js';
import { monotonicMs } from '../util/clock.js';
import { quote, toOneLine } from '../util/one-line.js';
import { pause } from '../util/retry.js';
import { VBD_ROOT } from '../vbd/list-vbds.js';
import { OpenVbds } from '../vbd/open-vbds.js';
import { requireOwnDomain } from '../vbd/own-domain.js';
import { PublicationIndex } from '../vbd/publication-index.js';
import { parseOtherPath, parseVbdPath } from '../vbd/vbd-path.js';
import { indexedVbdUses } from '../vbd/vbd-uses.js';
import type { Xenstore } from '../xenstore/xenstore.js';
import { BackendWatch, type WatchOptions } from './backend-watch.js';
import { FirstScan } from './first-scan.js';
import type { ControlRequest } from './protocol.js';
import { VbdSteps } from './vbd-event.js';
import { type JobOptions, VbdJobs } from './vbd-jobs.js';

/** Options of a `Service`. */
export interface ServiceOptions extends WatchOptions {
  readonly jobs: JobOptions;
  readonly connect: (signal: AbortSignal) => Promise<Xenstore>;
  /** Called with a sentence for people when something happens to the service itself. */
  readonly onNotice: (text: string) => void;
  /** Called once per connection, when every existing vbd has been looked at. */
  readonly onReady: () => void;
}

/** How long running jobs may take to finish when the daemon is stopped; milliseconds. */
const DRAIN_MS = 6500;
/** How long jobs that have not finished by then may take to roll back; milliseconds. */
const ROLLBACK_MS = 2000;
/** The time to roll back after a lost connection, when jobs cannot change XenStore; milliseconds. */
const ABANDON_MS = 1000;
/** After this time without a serving connection, a new process may help; milliseconds. */
const LONGEST_UNSERVED_MS = 60_000;
/** How long a request, which may have started the daemon, waits for the first scan; milliseconds. */
const START_PATIENCE_MS = 1500;
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 2000;

/** The service for the vbds of this domain. It goes on when xenstored is restarted. */
export class Service {
  readonly #options: ServiceOptions;
  /** The jobs over the present connection. `undefined` while there is none. */
  #jobs: VbdJobs | undefined;
  #store: Xenstore | undefined;
  readonly #start = new FirstScan();
  /** The time at which the last connection ended, from `monotonicMs`. */
  #unservedSince = monotonicMs();
  /** The notices given since the last connection that served for a while. */
  readonly #told = new Set<string>();

  /** Facts about the kernel's vbds. They stay valid when the connection changes. */
  readonly #openVbds: OpenVbds;
  readonly #storageLookup = openStorageLookup();

  constructor(options: ServiceOptions) {
    this.#options = options;
    this.#openVbds = new OpenVbds(options.jobs.sysfs);
  }

  /** Carries out a hotplug script's request. Throws `EUNAVAILABLE` if the client must do it. */
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
      throw unavailable('the daemon has no connection to xenstored');
    }
    await requireOwnDomain(store, named);
    if (vbd === undefined) {
      const error = otherDiskError(path);
      await reportFailure(store, named, error, {}).catch(() => undefined);
      throw error;
    }
    try {
      const steps = new VbdSteps(vbd, action, this.#options.jobs.onEvent);
      const onUntold = (sentence: string): void => steps.step('warned', toOneLine(sentence));
      const { timeoutMs } = this.#options.jobs;
      await withXapiReport(store, vbd, action === 'add', { timeoutMs, onUntold }, async () => {
        await jobs[action](vbd);
      });
    } catch (error) {
      throw mayBeDoneElsewhere(error) ? unavailable(errorMessage(error), error) : error;
    }
  }

  /** Tells whether the service has a connection to xenstored and has looked at every vbd. */
  get isConnected(): boolean {
    return this.#store !== undefined;
  }

  /** Asks the store of the present connection. Throws `EUNAVAILABLE` if there is none. */
  async ask<T>(question: (store: Xenstore) => Promise<T>): Promise<T> {
    if (this.#store === undefined) throw unavailable('the daemon has no connection to xenstored');
    return await question(this.#store);
  }

  /** Tells whether xenstored answers or, without a connection, whether the last one is recent. */
  async isWell(signal: AbortSignal): Promise<boolean> {
    const store = this.#store;
    if (store === undefined) return monotonicMs() - this.#unservedSince < LONGEST_UNSERVED_MS;
    await store.readMany([VBD_ROOT], { signal });
    return true;
  }

  /** Serves until `signal` is aborted, then lets jobs finish. Reconnects, with growing pauses. */
  async run(signal: AbortSignal): Promise<void> {
    let bound = FIRST_PAUSE_MS;
    while (!signal.aborted) {
      let servedSince = Number.POSITIVE_INFINITY;
      try {
        await using store = await this.#options.connect(signal);
        await this.#serve(store, signal, () => {
          servedSince = monotonicMs();
        });
      } catch (error) {
        if (signal.aborted) return;
        // A connection that is lost again at once does not reset the pause.
        if (monotonicMs() - servedSince > LONGEST_PAUSE_MS) {
          bound = FIRST_PAUSE_MS;
          this.#told.clear();
        }
        this.#tellOnce(`${errorMessage(error)}; connecting again`);
      }
      await pause(bound / 2 + (Math.random() * bound) / 2, signal).catch(() => undefined);
      bound = Math.min(bound * 2, LONGEST_PAUSE_MS);
    }
  }

  #tellOnce(notice: string): void {
    if (this.#told.has(notice)) return;
    this.#told.add(notice);
    this.#options.onNotice(notice);
  }

  async #serve(store: Xenstore, signal: AbortSignal, onServing: () => void): Promise<void> {
    const publications = new PublicationIndex(store);
    const uses = indexedVbdUses(store, publications, this.#openVbds);
    const storageLookup = this.#storageLookup;
    const jobs = new VbdJobs(store, { ...this.#options.jobs, uses, storageLookup });
    const onNotice = (text: string): void => this.#tellOnce(text);
    const watch = new BackendWatch(store, jobs, publications, { ...this.#options, onNotice });
    const over = new AbortController();
    const ended = new Promise<never>((_, reject) => {
      watch.start(reject).then(() => {
        this.#jobs = jobs;
        this.#store = store;
        this.#start.done();
        onServing();
        this.#options.onReady();
      }, reject);
      signal.addEventListener('abort', () => reject(signal.reason), { signal: over.signal });
    });
    try {
      await ended;
    } finally {
      over.abort();
      if (this.#store !== undefined) this.#unservedSince = monotonicMs();
      this.#jobs = undefined;
      this.#store = undefined;
      watch.stopAccepting();
      if (signal.aborted) await drain(jobs);
      else await abandon(jobs);
      await atMost(ABANDON_MS, watch.stop());
    }
  }
}

/** Returns the error after which the client does the work itself. */
function unavailable(message: string, cause?: unknown): HotplugError {
  return new HotplugError(message, { code: 'EUNAVAILABLE', cause });
}

/** Tells whether another process may succeed: the limit of open files applies per process. */
function mayBeDoneElsewhere(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return errorCode(error) === 'EMFILE' || mayBeDoneElsewhere(error.cause);
}

async function drain(jobs: VbdJobs): Promise<void> {
  await atMost(DRAIN_MS, jobs.settled());
  const reason = new HotplugError('the daemon is being stopped', { code: 'ECANCELED' });
  await atMost(ROLLBACK_MS, jobs.abort(reason));
}

async function abandon(jobs: VbdJobs): Promise<void> {
  const reason = new HotplugError('the connection to xenstored is lost', { code: 'ECANCELED' });
  await atMost(ABANDON_MS, jobs.abandon(reason));
}
