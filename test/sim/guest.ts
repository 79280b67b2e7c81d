import type { Random } from '../bed/random.js';
import type { Checks } from './checks.js';
import type { Daemon } from './daemon.js';
import type { Mix } from './mix.js';
import type { World } from './process.js';
import { type Outcome, runScript, type Script } from './script.js';

/** The toolstack's side of one guest's disk. */
export class Guest {
  readonly domid: number;
  readonly backend: string;
  readonly #world: World;
  readonly #checks: Checks;

  /** If there is a daemon, most requests go through it. */
  readonly #daemon: Daemon | undefined;
  /**
   * Whether the last thing that has been done about the disk was a remove, which succeeded, and beside
   * which nothing else was done.
   */
  isRemoved = false;
  /** The adds that run, and the number of those that have ended. */
  #adds = { running: 0, ended: 0 };
  /** Guests without a mix come when all else is quiet, and nothing happens to them. */
  readonly #mix: Mix | undefined;

  constructor(
    world: World,
    checks: Checks,
    domid: number,
    { daemon, mix }: { readonly daemon?: Daemon; readonly mix?: Mix } = {},
  ) {
    this.#world = world;
    this.#daemon = daemon;
    this.#mix = mix;
    this.#checks = checks;
    this.domid = domid;
    this.backend = `backend/vbd/${domid}/51712`;
  }

  get #frontend(): string {
    return `/local/domain/${this.domid}/device/vbd/51712`;
  }

  get #killed(): number {
    return this.#mix?.killed ?? 0;
  }

  get #random(): Random {
    return this.#world.scheduler.random;
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.#world.scheduler.after(ms, resolve));
  }

  /** Makes all nodes of the disk at once. */
  create(params: string, mode: string): void {
    const { domid } = this;
    this.#checks.onMade(this.backend, params);
    this.#checks.kin?.appear(domid);
    if (this.#world.store.hasFrontends) {
      this.#world.store.write('toolstack', { [`${this.#frontend}/backend-id`]: '0' });
    }
    this.#write({
      frontend: this.#frontend,
      'frontend-id': String(domid),
      ...{ online: '1', state: '1', dev: 'xvda', type: 'phy', 'device-type': 'disk' },
      ...{ script: '/etc/xen/scripts/block-diskseq', mode, params },
    });
  }

  #write(nodes: Readonly<Record<string, string>>): void {
    const entries = Object.entries(nodes).map(([name, value]) => [
      `${this.backend}/${name}`,
      value,
    ]);
    this.#world.store.write('toolstack', Object.fromEntries(entries));
  }

  /** Runs one script, or two at once. A script may be killed at any step. */
  async add(): Promise<Outcome> {
    this.#adds.running++;
    const outcome = await this.#add();
    this.#adds.running--;
    this.#adds.ended++;
    this.isRemoved = false;
    return outcome;
  }

  async #add(): Promise<Outcome> {
    const first = this.#script('add', this.#killed);
    if (!this.#random.percent(this.#mix?.twice ?? 0)) return await first;
    await this.sleep(this.#random.fraction() * 5);
    const [a, b] = await Promise.all([first, this.#script('add', this.#killed)]);
    return a === 'done' || b === 'done' ? 'done' : 'failed';
  }

  async remove(killed = this.#killed): Promise<Outcome> {
    const { running, ended } = this.#adds;
    const outcome = await this.#script('remove', killed);
    const isAlone = running === 0 && this.#adds.running === 0 && this.#adds.ended === ended;
    this.isRemoved = outcome === 'done' && isAlone;
    return outcome;
  }

  async #script(action: 'add' | 'remove', killed: number): Promise<Outcome> {
    this.isRemoved = false;
    const random = this.#random;
    if (this.#daemon?.isThere && random.percent(this.#mix?.asked ?? 0)) {
      const outcome = await this.#daemon.ask(action, this.backend);
      // The hotplug script does the work itself if the daemon ends.
      if (outcome !== undefined) return outcome;
    }
    const killAfter = random.percent(killed) ? random.between(1, 260) : undefined;
    const timeoutMs = random.pick([2000, 4000, 4000, 30_000]);
    const options = { timeoutMs, killAfter };
    const script = runScript(this.#world, this.#checks, action, this.backend, options);
    const isCut = action === 'add' && random.percent(this.#mix?.cut ?? 0);
    const { undercut = 0 } = this.#mix ?? {};
    const isUndercut = action === 'remove' && undercut > 0 && random.percent(undercut);
    if (isCut || isUndercut) this.#killOncePublished(script, isCut);
    return await script.ended;
  }

  /** Kills a script as soon as XenStore has, or does not have any more, a publication. */
  #killOncePublished({ process }: Script, hasPublication: boolean): void {
    const { store, scheduler } = this.#world;
    const path = `${this.backend}/physical-device`;
    store.onChange((changed) => {
      if (changed !== path || !process.isAlive) return;
      if ((store.read(path) !== undefined) !== hasPublication) return;
      scheduler.after(scheduler.random.fraction() * 0.5, () => process.kill('killed'));
    });
  }

  /**
   * Removes the disk in an orderly way, or by force, or just deletes its nodes. Returns the outcome of
   * the remove, if there was one.
   */
  async destroy(): Promise<Outcome | undefined> {
    const random = this.#random;
    if (this.#world.store.hasFrontends && random.percent(25)) {
      // A guest's nodes go first where its toolstack dies.
      this.#deleteFrontend();
      await this.sleep(random.fraction() * random.pick([5, 500, 5000]));
    }
    const isThere = this.#world.store.read(`${this.backend}/frontend`) !== undefined;
    const { forced = 0, orderly = 100, abandoned = 0 } = this.#mix ?? {};
    if (isThere && forced > 0 && random.percent(forced)) {
      const outcome = await this.remove();
      if (outcome === 'killed') await this.sleep(random.fraction() * random.pick([2, 300]));
      this.deleteNodes();
      return outcome;
    }
    const isOrderly = random.percent(orderly);
    if (isOrderly && isThere) {
      this.#write({ online: '0', state: '5' });
      const end = this.#world.scheduler.now + 10_000;
      while (this.#world.store.read(`${this.backend}/state`) === '5') {
        if (this.#world.scheduler.now > end) break;
        await this.sleep(20 + random.fraction());
      }
      const outcome = await this.remove();
      this.deleteNodes();
      return outcome;
    }
    this.deleteNodes();
    return random.percent(abandoned) ? undefined : await this.remove();
  }

  /** Makes the vbd anew and attaches it while a remove of it still runs. */
  async remakeWhileRemoved(params: string, mode: string): Promise<void> {
    this.#checks.contradicted.add(this.backend);
    const removing = this.remove(0);
    await this.sleep(this.#random.fraction() * this.#random.pick([2, 100]));
    this.deleteNodes();
    await this.sleep(this.#random.fraction());
    this.create(params, mode);
    await Promise.all([removing, this.add()]);
    this.isRemoved = false;
  }

  #deleteFrontend(): void {
    this.#world.store.write('toolstack', { [`/local/domain/${this.domid}`]: undefined });
  }

  deleteNodes(): void {
    const { store } = this.#world;
    if (store.hasFrontends) this.#deleteFrontend();
    if (store.read(`${this.backend}/frontend`) === undefined) return;
    store.write('toolstack', { [this.backend]: undefined });
    this.#checks.kin?.vanish(this.domid);
  }
}
