import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Xenstore } from '../../../src/xenstore/xenstore.js';
import { type Bed, startBed } from '../../bed/bed.js';
import { type Daemon, startDaemon, startDaemonProgram } from '../../bed/daemon.js';
import { within } from '../../bed/deadline.js';
import { loopsLeft, loopsOf, makeImage } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { built } from '../../bed/paths.js';
import { CLI } from '../../bed/script.js';
import { Stopwatch } from '../../bed/stopwatch.js';
import { openStore } from '../../bed/store.js';
import { createVbd, deleteVbd, type Vbd, waitNode } from '../../bed/toolstack.js';

const DISKS = 50;
/**
 * The number of steps at which the daemon is killed, spread over all steps. `npm run test:sweep`
 * takes more.
 */
const KILLS = Number(process.env.XEN_BLKBACK_KILLS ?? 4);

describe(`the daemon is killed while ${DISKS} vbds are being attached, and started again`, function () {
  this.timeout(60_000 + KILLS * 20_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  for (const guise of ['stock', 'diskseq'] as const) {
    it(`${guise} blkback: each ends up attached once or cleanly failed, and no device too many`, async () => {
      await using bed = await startBed({ guise, delayMs: 8, randomDelay: true });
      await using store = await openStore(bed);
      const fixture = new SharingFixture(bed, store);
      const { first, last } = await fixture.countCalls();
      const kills = Math.ceil(KILLS / 2);
      const steps = Array.from({ length: kills }, (_, index) =>
        Math.round(first + ((index + 0.5) / kills) * (last - first)),
      );
      for (const [index, step] of steps.entries()) {
        await fixture.kill(step, index % 2 === 0 ? 'before' : 'after');
      }
      const { attached, failed, killed } = fixture;
      console.log(
        `      ${last - first} calls, ${killed} kills: ${attached} attached, ${failed} failed`,
      );
      // The number of calls varies a little, so some steps lie behind the last call.
      assert.ok(killed > kills / 2, `${killed} of the kills at ${steps} of ${last} calls`);
      assert.ok(attached > (kills * DISKS) / 2, 'most of them should have been attached');
    });
  }
});

class SharingFixture {
  readonly #bed: Bed;
  readonly #store: Xenstore;
  #serial = 0;
  killed = 0;
  attached = 0;
  failed = 0;

  constructor(bed: Bed, store: Xenstore) {
    this.#bed = bed;
    this.#store = store;
  }

  /** Returns the range of the changing calls that a daemon makes from its start to the last vbd. */
  async countCalls(): Promise<{ first: number; last: number }> {
    const log = join(this.#bed.directory, `calls-${this.#serial}`);
    const count = (): number => readFileSync(log, 'utf8').split('\n').length - 1;
    await using daemon = await this.#startDoomed({ KILL_AT: '0', KILL_LOG: log });
    const first = count();
    const vbds = await this.#create();
    await Promise.all(vbds.map((vbd) => this.#connected(vbd)));
    const last = count();
    await daemon.stop();
    await this.#tearDown(vbds);
    return { first, last };
  }

  async kill(step: number, when: 'before' | 'after'): Promise<void> {
    await using doomed = await this.#startDoomed({ KILL_AT: String(step), KILL_WHEN: when });
    const vbds = await this.#create();
    const done = Promise.all(vbds.map((vbd) => this.#connected(vbd)));
    done.catch(() => undefined);
    // At a step near the end, the daemon may have attached all vbds before that call.
    await Promise.race([doomed.child.ended, done]);
    if (doomed.child.end() === 'was killed by SIGKILL') this.killed++;
    await doomed.stop();
    await using daemon = await startDaemon(this.#bed);
    const outcomes = await this.#ask(daemon, vbds);
    for (const [index, vbd] of vbds.entries()) await this.#check(vbd, outcomes[index] === 0);
    const loops = loopsOf(this.#directory());
    const attached = outcomes.filter((status) => status === 0).length;
    assert.equal(loops.length, attached, `step ${step}: ${loops.join(' ')}`);
    this.attached += attached;
    this.failed += outcomes.length - attached;
    await this.#tearDown(vbds);
  }

  #startDoomed(kill: Readonly<Record<string, string>>): Promise<Daemon> {
    const env = { LD_PRELOAD: built('kill-at.so'), ...kill };
    return startDaemonProgram(this.#bed, process.execPath, [CLI, 'daemon'], env);
  }

  #directory(): string {
    return this.#bed.images;
  }

  async #create(): Promise<Vbd[]> {
    const frontend = 100 + this.#serial++;
    const vbds = Array.from({ length: DISKS }, (_, disk) => {
      const params = makeImage(this.#directory(), { marker: `disk ${disk} of ${frontend}` });
      return createVbd(this.#store, { frontend, devid: 51712 + disk, params });
    });
    return await Promise.all(vbds);
  }

  #connected(vbd: Vbd): Promise<void> {
    return waitNode(this.#store, `${vbd.backendPath}/hotplug-status`, 'connected', 15_000);
  }

  /**
   * Runs the scripts, which a toolstack would have running all the while. They cannot fall back
   * without Node.
   */
  async #ask(daemon: Daemon, vbds: readonly Vbd[]): Promise<number[]> {
    const env = { ...daemon.env, PATH: '/nonexistent' };
    await using client = await Stopwatch.start([built('block-diskseq'), 'add'], env);
    const laps = await Promise.all(vbds.map((vbd) => client.run(vbd.backendPath)));
    return laps.map(({ status }) => status);
  }

  /** Checks what blkback has really opened, and that it has opened it only once. */
  async #check(vbd: Vbd, attached: boolean): Promise<void> {
    const marker = `disk ${Number(vbd.key.split('/')[1]) - 51712} of ${vbd.key.split('/')[0]}`;
    const opened = this.#bed.blkback
      .log()
      .filter(({ event, vbd: key }) => event === 'opened' && key === vbd.key);
    const [status, error] = await this.#store.readMany([
      `${vbd.backendPath}/hotplug-status`,
      `${vbd.backendPath}/hotplug-error`,
    ]);
    if (attached) {
      assert.deepEqual([String(status), opened.length, opened[0]?.bytes], ['connected', 1, marker]);
      return;
    }
    assert.equal(String(status), 'error', vbd.key);
    assert.ok(error !== undefined && error.length > 0);
    // The loop device with this number had cleared itself, so the stock blkback opened an empty
    // disk.
    assert.ok(
      opened.every(({ bytes }) => bytes === ''),
      JSON.stringify(opened),
    );
  }

  async #tearDown(vbds: readonly Vbd[]): Promise<void> {
    await Promise.all(vbds.map((vbd) => deleteVbd(this.#store, vbd)));
    const { blkback } = this.#bed;
    const keys = new Set(vbds.map(({ key }) => key));
    const count = (event: string): number =>
      blkback.log().filter((entry) => entry.event === event && keys.has(entry.vbd ?? '')).length;
    await blkback.waitFor(
      () => count('removed') === count('probe') && count('closed') === count('opened'),
    );
    assert.deepEqual(await loopsLeft(this.#directory()), []);
    await within(
      5000,
      () => `no records, but ${readdirSync(this.#bed.runDirectory)}`,
      async () => {
        assert.deepEqual(
          readdirSync(this.#bed.runDirectory).filter((name) => name.startsWith('vbd-')),
          [],
        );
      },
    );
  }
}
