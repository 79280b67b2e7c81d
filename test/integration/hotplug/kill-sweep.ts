import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { errorCode } from '../../../src/errors.js';
import { attach } from '../../../src/hotplug/attach.js';
import { detach } from '../../../src/hotplug/detach.js';
import { pause } from '../../../src/util/retry.js';
import { parseVbdPath, type VbdPath } from '../../../src/vbd/vbd-path.js';
import type { Xenstore } from '../../../src/xenstore/xenstore.js';
import type { Bed } from '../../bed/bed.js';
import { attachLoop, loopsLeft, makeImage } from '../../bed/images.js';
import { assertNeverBeside, openDevices } from '../../bed/open-devices.js';
import { built, projectRoot } from '../../bed/paths.js';
import {
  createVbd,
  deleteVbd,
  type Vbd,
  type VbdOptions,
  waitInitWait,
} from '../../bed/toolstack.js';

/** A kill at the `nth` call (from 1) of the calls like `what`. The number of other calls varies. */
export interface Kill {
  readonly what: string;
  readonly nth: number;
  readonly when: 'before' | 'after';
}

/** Returns a kill at each of the calls, or two. */
export function killsAt(calls: readonly string[], ...moments: Kill['when'][]): Kill[] {
  const seen = new Map<string, number>();
  return calls.flatMap((what) => {
    const nth = (seen.get(what) ?? 0) + 1;
    seen.set(what, nth);
    return moments.map((when) => ({ what, nth, when }));
  });
}

/**
 * The target that is attached while its add is killed, and what the kernel alone may leave of it.
 */
export interface Scenario {
  readonly title: string;
  readonly params: (image: string, device: string) => string;
  /**
   * Tells whether `remove` has to run after the nodes are gone, as for each domain that libxl
   * destroys.
   */
  readonly needsRemove: boolean;
  /** Returns what is left of a frontend besides loop devices and records. */
  readonly left?: (frontend: number) => Promise<string[]>;
}

interface Prepared extends AsyncDisposable {
  readonly vbd: Vbd;
  readonly options: VbdOptions;
  readonly directory: string;
}

/**
 * The difference between the number of a guest and that of the other guest which wants the same
 * bytes.
 */
const OTHERS = 10_000;

/**
 * Adds of one kind of target, each of which is killed at another call. Nothing may be left of them.
 */
export class Sweep {
  readonly #bed: Bed;
  readonly #store: Xenstore;
  readonly #scenario: Scenario;
  #serial = 0;
  /** The number of runs that died of the kill. */
  killed = 0;
  /** The kills whose call did not come up in the run. */
  readonly #missed: Kill[] = [];

  constructor(bed: Bed, store: Xenstore, scenario: Scenario) {
    this.#bed = bed;
    this.#store = store;
    this.#scenario = scenario;
  }

  /** Runs an add that is not killed. Returns its calls, which the sweep goes over. */
  async countCalls(): Promise<string[]> {
    const log = join(this.#bed.directory, 'calls');
    await using run = await this.#prepare();
    const signal = await this.#add(run.vbd, { KILL_AT: '0', KILL_LOG: log });
    assert.equal(signal, null);
    await this.#tearDown(run);
    const lines = readFileSync(log, 'utf8').trimEnd().split('\n');
    return lines.map((line) => line.replace(/^\d+ /, ''));
  }

  async kill(kill: Kill): Promise<void> {
    await using run = await this.#prepare();
    const signal = await this.#add(run.vbd, {
      KILL_AT: String(kill.nth),
      KILL_WHAT: kill.what,
      KILL_WHEN: kill.when,
    });
    if (signal === null) this.#missed.push(kill);
    else this.killed++;
    await this.#addForAnother(run);
    await this.#tearDown(run);
    // A toolstack that tries again creates the same vbd once more.
    await createVbd(this.#store, run.options);
    await waitInitWait(this.#store, run.vbd);
    await attach(this.#store, parse(run.vbd), { ...this.#places(), uapi: 'key' });
    await this.#tearDown(run);
  }

  /**
   * Fails if less than this share of the runs was killed, or if a kill at a device call was missed.
   */
  assertKilled(share: number): void {
    const tried = this.killed + this.#missed.length;
    // The number of requests to XenStore varies, but the calls on devices are the same each time.
    assert.deepEqual(
      this.#missed.filter(({ what }) => what.startsWith('ioctl')),
      [],
    );
    assert.ok(this.killed >= tried * share, `only ${this.killed} of ${tried} runs were killed`);
  }

  async #prepare(): Promise<Prepared> {
    const frontend = 2000 + this.#serial++;
    // The directory is this run's own, so everything that is left over a file in it was left by
    // this run.
    const directory = join(this.#bed.images, String(frontend));
    mkdirSync(directory);
    const image = makeImage(directory, { marker: `SWEEP-${frontend}` });
    const other = makeImage(this.#bed.directory, { marker: `DEVICE-${frontend}` });
    const loop = await attachLoop(other);
    const params = this.#scenario.params(image, loop.path);
    const options = { frontend, devid: 51712, params };
    const vbd = await createVbd(this.#store, options);
    await waitInitWait(this.#store, vbd);
    return { vbd, options, directory, [Symbol.asyncDispose]: () => loop.detach() };
  }

  async #add(vbd: Vbd, env: Record<string, string>): Promise<NodeJS.Signals | null> {
    const child = spawn(process.execPath, [join(projectRoot, 'dist/block-diskseq.cjs'), 'add'], {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: {
        ...this.#bed.env,
        PATH: process.env.PATH,
        XENBUS_PATH: vbd.backendPath,
        LD_PRELOAD: built('kill-at.so'),
        ...env,
      },
    });
    const [status, signal] = await once(child, 'exit');
    assert.ok(signal === 'SIGKILL' || status === 0, `add ended with ${status ?? signal}`);
    return signal;
  }

  /**
   * Adds the same bytes for another guest after the kill, and once more when the nodes are gone
   * while blkback cannot close yet. That guest may get the bytes only if blkback has not opened
   * them for the first one. Where blkback has opened nothing and does not know yet that the nodes
   * are gone, the add waits until blkback knows it.
   */
  async #addForAnother(run: Prepared): Promise<void> {
    const { blkback } = this.#bed;
    const frontend = run.options.frontend + OTHERS;
    const options = { ...run.options, frontend };
    for (const moment of ['killed', 'deleted'] as const) {
      if (moment === 'deleted') {
        await blkback.hold('events', run.vbd.key);
        await deleteVbd(this.#store, run.vbd);
      }
      const vbd = await createVbd(this.#store, options);
      await waitInitWait(this.#store, vbd);
      const how = { ...this.#places(), uapi: 'key', timeoutMs: 3000 } as const;
      const adding = attach(this.#store, parse(vbd), how).then(
        () => 'attached',
        (error: unknown) => errorCode(error) ?? String(error),
      );
      const open = openDevices(blkback.log()).filter(({ vbd: key }) => key === run.vbd.key);
      // An add that was killed before blkback opened its device has left an empty disk.
      const held = open.some(({ size }) => size !== 0);
      if (moment === 'deleted' && open.length === 0) {
        await pause(20);
        await blkback.release('events', run.vbd.key);
      }
      const outcome = await adding;
      const allowed = held ? ['EBUSY'] : ['EBUSY', 'attached'];
      assert.ok(allowed.includes(outcome), `${moment}, ${held ? 'held' : 'free'}: ${outcome}`);
      assertNeverBeside(blkback.log());
      await this.#end({ ...run, vbd, options });
    }
    await blkback.release('events', run.vbd.key);
  }

  /**
   * Removes the nodes, as when a domain is destroyed. Then the kernel alone must have undone
   * everything.
   */
  async #tearDown(run: Prepared): Promise<void> {
    await this.#end(run);
    const { vbd, options, directory } = run;
    assert.deepEqual((await this.#scenario.left?.(options.frontend)) ?? [], []);
    assert.deepEqual(await loopsLeft(directory), []);
    const name = parse(vbd).sysfsName;
    const files = readdirSync(this.#bed.runDirectory).filter((file) => file.includes(name));
    assert.deepEqual(files, []);
  }

  /**
   * Waits until blkback has closed the device, and undoes what the kernel does not undo by itself.
   */
  async #end({ vbd }: Prepared): Promise<void> {
    const { blkback } = this.#bed;
    const isOf = (event: { vbd?: string }) => event.vbd === vbd.key;
    const instances = () => blkback.log().filter((e) => isOf(e) && e.event === 'probe').length;
    const removals = () => blkback.log().filter((e) => isOf(e) && e.event === 'removed').length;
    const opens = () => blkback.log().filter((e) => isOf(e) && e.event === 'opened').length;
    const closes = () => blkback.log().filter((e) => isOf(e) && e.event === 'closed').length;
    await deleteVbd(this.#store, vbd);
    await blkback.waitFor(() => removals() === instances() && opens() === closes());
    if (this.#scenario.needsRemove) await detach(this.#store, parse(vbd), this.#places());
  }

  #places() {
    const { runDirectory, blkback } = this.#bed;
    return { timeoutMs: 10_000, sysfs: blkback.sysfs, runDirectory };
  }
}

function parse(vbd: Vbd): VbdPath {
  const path = parseVbdPath(vbd.backendPath);
  assert.ok(path);
  return path;
}
