import { randomHex } from '../linux/calls.js';
import { listNumbers } from '../vbd/list-vbds.js';
import { readOwnDomid } from '../vbd/own-domain.js';
import { listRemoteVbds, summarizeRemoteVbd } from '../vbd/remote-vbds.js';
import type { VbdSummary } from '../vbd/summarize-vbd.js';
import { inBackendDomain, parseVbdPath, type VbdPath } from '../vbd/vbd-path.js';
import { waitFor } from '../xenstore/wait-for.js';
import type { Watch, Xenstore } from '../xenstore/xenstore.js';
import { eventJson, snapshotEndJson } from './protocol.js';
import { remoteEvents } from './remote-events.js';
import type { FeedEvent } from './vbd-event.js';
import { snapshotEvent } from './vbd-snapshot.js';

/** The special watches for a domain that appears or goes (docs/misc/xenstore.txt of Xen). */
const DOMAIN_EVENTS = ['@introduceDomain', '@releaseDomain'] as const;

/** Options of `followDomains`. */
export interface FollowDomainsOptions {
  /** The backend domain to follow. `undefined`: all domains except this one. */
  readonly backendDomid: number | undefined;
  readonly onEvent: (json: string) => void;
  readonly onFollowing: () => void;
  readonly signal: AbortSignal;
}

/**
 * Reports what happens to the vbds of other backend domains, as their nodes show it, until the
 * signal is aborted. A snapshot comes first. Rejects with the reason of the abort, or when the
 * connection is lost.
 */
export async function followDomains(
  store: Xenstore,
  options: FollowDomainsOptions,
): Promise<never> {
  const { signal, onFollowing, backendDomid } = options;
  const follower = new DomainFollower(store, options);
  try {
    if (backendDomid !== undefined) await follower.watch(backendDomid);
    else await follower.watchAll();
    follower.reportSnapshot();
    onFollowing();
    const paths = backendDomid === undefined ? DOMAIN_EVENTS : ['domid'];
    const watchFresh = async (): Promise<undefined> => {
      if (backendDomid === undefined) await follower.watchAll();
    };
    return await waitFor<never>(store, paths, watchFresh, { signal });
  } finally {
    follower.close();
  }
}

class DomainFollower {
  readonly #store: Xenstore;
  readonly #options: FollowDomainsOptions;
  readonly #watches = new Map<number, Watch>();
  readonly #seen = new Map<string, VbdSummary>();
  /** Vbds whose nodes are being read. `true`: they have changed since, and must be read again. */
  readonly #underWay = new Map<string, boolean>();
  readonly #run = randomHex(8);
  #seq = 0;
  #isReporting = false;

  constructor(store: Xenstore, options: FollowDomainsOptions) {
    this.#store = store;
    this.#options = options;
  }

  /**
   * Watches every domain that exists now, and stops watching the domains that are gone. The backend
   * directory of a domain may still be missing, because it comes with the first disk.
   */
  async watchAll(): Promise<void> {
    const { signal } = this.#options;
    const own = await readOwnDomid(this.#store, { signal });
    const domids = (await listNumbers(this.#store, '/local/domain', { signal })).map(Number);
    for (const [domid, watch] of this.#watches) {
      if (domids.includes(domid)) continue;
      this.#watches.delete(domid);
      void watch.close();
    }
    const fresh = domids.filter((domid) => domid !== own && !this.#watches.has(domid));
    await Promise.all(fresh.map((domid) => this.watch(domid)));
  }

  async watch(domid: number): Promise<void> {
    const { signal } = this.#options;
    const listener = {
      onEvent: (path: string) => this.#onWatchEvent(domid, path),
      onLost: () => undefined,
    };
    const path = `/local/domain/${domid}/backend/vbd`;
    this.#watches.set(domid, await this.#store.watch(path, listener, { signal }));
    const vbds = await listRemoteVbds(this.#store, domid, { signal });
    await Promise.all(vbds.map((vbd) => this.#compareUntilQuiet(vbd)));
  }

  /** Reports the snapshot. From then on, changes are reported, too. */
  reportSnapshot(): void {
    const time = new Date();
    for (const summary of this.#seen.values()) this.#report(snapshotEvent(summary, time), summary);
    const end = snapshotEndJson({ run: this.#run, seq: this.#seq }, this.#seen.size);
    this.#options.onEvent(end);
    this.#isReporting = true;
  }

  close(): void {
    for (const watch of this.#watches.values()) void watch.close();
  }

  /**
   * Finds the vbds that a watch event concerns. When a whole directory goes, xenstored reports only
   * the directory, and not the vbds below it.
   */
  #onWatchEvent(domid: number, path: string): void {
    const [, own] = /^(\/local\/domain\/\d+\/backend\/vbd\/\d+\/\d+)(?:\/|$)/.exec(path) ?? [];
    const vbd = own === undefined ? undefined : parseVbdPath(own);
    const gone = [...this.#seen.values()].filter(({ vbd }) => vbd.backend.startsWith(`${path}/`));
    const concerned = vbd ? [inBackendDomain(vbd, domid)] : gone.map(({ vbd }) => vbd);
    // A lost connection also ends `followDomains`, which reports it.
    for (const one of concerned) this.#compareUntilQuiet(one).catch(() => undefined);
  }

  /**
   * Reads a vbd, and reports how it has changed. Never runs twice at the same time for one vbd: a
   * change in the meantime leads to another reading.
   */
  async #compareUntilQuiet(vbd: VbdPath): Promise<void> {
    const { backend } = vbd;
    if (this.#underWay.has(backend)) {
      this.#underWay.set(backend, true);
      return;
    }
    try {
      do {
        this.#underWay.set(backend, false);
        await this.#compare(vbd);
      } while (this.#underWay.get(backend));
    } finally {
      this.#underWay.delete(backend);
    }
  }

  async #compare(vbd: VbdPath): Promise<void> {
    const { signal } = this.#options;
    const now = await summarizeRemoteVbd(this.#store, vbd, { signal });
    const before = this.#seen.get(vbd.backend);
    if (now === undefined) this.#seen.delete(vbd.backend);
    else this.#seen.set(vbd.backend, now);
    if (!this.#isReporting) return;
    for (const event of remoteEvents(before, now, new Date())) this.#report(event, now ?? before);
  }

  #report(event: FeedEvent, summary: VbdSummary | undefined): void {
    const seq = event.action === 'snapshot' ? this.#seq : ++this.#seq;
    const place = { run: this.#run, seq, domain: summary?.domainName };
    this.#options.onEvent(eventJson(event, place));
  }
}
