import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { type AttachOptions, type AttachResult, attach } from '../../../src/hotplug/attach.js';
import { type DetachOptions, detach } from '../../../src/hotplug/detach.js';
import { parseVbdPath, type VbdPath } from '../../../src/vbd/vbd-path.js';
import { readText } from '../../../src/xenstore/text.js';
import { waitFor } from '../../../src/xenstore/wait-for.js';
import type { Xenstore } from '../../../src/xenstore/xenstore.js';
import { type Bed, startBed } from '../../bed/bed.js';
import type { Blkback, BlkbackBehaviour, BlkbackEvent } from '../../bed/blkback.js';
import { onDirectoryEvent, within } from '../../bed/deadline.js';
import { devnumOf, diskseqOf, type Loop, loopsOf, makeImage } from '../../bed/images.js';
import {
  CLI,
  HOTPLUG_SCRIPT,
  libxlEnvironment,
  type Run,
  type Running,
  startProgram,
} from '../../bed/script.js';
import { openStore } from '../../bed/store.js';
import {
  closeVbd,
  createVbd,
  deleteVbd,
  type Vbd,
  type VbdOptions,
  waitInitWait,
} from '../../bed/toolstack.js';

/** The first bytes of an image. */
export const MARKER = 'the right disk';
const FRONTEND = 7;
const FIRST_DEVID = 51712;
const TIMEOUT_MS = 8000;

/** The nodes of a backend that an attach writes. */
export const HOTPLUG_NODES = [
  'physical-device',
  'physical-device-path',
  'diskseq',
  'hotplug-status',
  'hotplug-error',
] as const;

/** Changes of the options of a vbd. */
export type VbdChange = Partial<VbdOptions>;

/** A bed, a store client of its own, and the vbds that a test made there. */
export class HotplugFixture {
  readonly bed: Bed;
  readonly store: Xenstore;
  readonly #vbds = new Map<string, Vbd>();
  #devid = FIRST_DEVID;

  constructor(bed: Bed, store: Xenstore) {
    this.bed = bed;
    this.store = store;
  }

  get blkback(): Blkback {
    return this.bed.blkback;
  }

  image(marker: string = MARKER, options: { size?: number; name?: string } = {}): string {
    return makeImage(this.bed.images, { marker, ...options });
  }

  /** Creates a vbd as the toolstack does. blkback may not have seen it yet. */
  async create(params: string, change: VbdChange = {}): Promise<Vbd> {
    const usual = { frontend: FRONTEND, devid: this.#devid, params };
    this.#devid += 16;
    const vbd = await createVbd(this.store, { ...usual, ...change });
    this.#vbds.set(vbd.key, vbd);
    return vbd;
  }

  /** Creates a vbd and waits until it waits for a device, as libxl leaves it to the script. */
  async vbd(params: string, change: VbdChange = {}): Promise<Vbd> {
    const vbd = await this.create(params, change);
    await waitInitWait(this.store, vbd);
    return vbd;
  }

  attach(vbd: Vbd | string, change: Partial<AttachOptions> = {}): Promise<AttachResult> {
    return this.attachThrough(this.store, vbd, change);
  }

  /** Attaches through another client, for example one that interrupts a transaction. */
  attachThrough(
    store: Xenstore,
    vbd: Vbd | string,
    change: Partial<AttachOptions> = {},
  ): Promise<AttachResult> {
    return attach(store, parse(vbd), { ...this.#options(), uapi: 'key', ...change });
  }

  detach(vbd: Vbd | string, change: Partial<DetachOptions> = {}): Promise<void> {
    return this.detachThrough(this.store, vbd, change);
  }

  /** Detaches through another client, for example one that interrupts a transaction. */
  detachThrough(
    store: Xenstore,
    vbd: Vbd | string,
    change: Partial<DetachOptions> = {},
  ): Promise<void> {
    return detach(store, parse(vbd), { ...this.#options(), ...change });
  }

  #options(): Pick<AttachOptions, 'timeoutMs' | 'sysfs' | 'runDirectory'> {
    const { runDirectory } = this.bed;
    return { timeoutMs: TIMEOUT_MS, sysfs: this.blkback.sysfs, runDirectory };
  }

  /** Runs `block-diskseq add|remove` as libxl does. */
  script(vbd: Vbd | string, action: string, env: NodeJS.ProcessEnv = {}): Promise<Run> {
    return this.startScript(vbd, action, env).ended;
  }

  startScript(vbd: Vbd | string, action: string, env: NodeJS.ProcessEnv = {}): Running {
    const path = typeof vbd === 'string' ? vbd : vbd.backendPath;
    const whole = { ...this.bed.env, ...libxlEnvironment(path), ...env };
    return startProgram(HOTPLUG_SCRIPT, [action], whole);
  }

  /** Runs `xen-blkback …` as people do. */
  cli(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Run> {
    return startProgram(process.execPath, [CLI, ...args], { ...this.bed.env, ...env }).ended;
  }

  /** Returns a node of the backend, or `undefined` if there is none. */
  async node(vbd: Vbd, name: string): Promise<string | undefined> {
    return (await this.nodes(vbd, name))[0];
  }

  async nodes(vbd: Vbd, ...names: string[]): Promise<(string | undefined)[]> {
    const values = await this.store.readMany(names.map((name) => `${vbd.backendPath}/${name}`));
    return values.map((value) => value?.toString());
  }

  /** Returns the whole backend directory. */
  async directory(vbd: Vbd): Promise<Record<string, string | undefined>> {
    const names = (await this.store.directory(vbd.backendPath)).sort();
    const values = await this.nodes(vbd, ...names);
    return Object.fromEntries(names.map((name, index) => [name, values[index]]));
  }

  async exists(path: string): Promise<boolean> {
    return (await this.store.readMany([path]))[0] !== undefined;
  }

  /** Waits until `physical-device` names a device to blkback. */
  async published(vbd: Vbd): Promise<void> {
    const path = `${vbd.backendPath}/physical-device`;
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    await waitFor(this.store, [path], () => readText(this.store, path), { signal });
  }

  /** Waits until the record of a vbd is removed. */
  async recordGone(vbd: VbdPath): Promise<void> {
    const { runDirectory } = this.bed;
    await within(TIMEOUT_MS, `the record of ${vbd.backend} to go`, (signal) =>
      onDirectoryEvent(runDirectory, signal, () =>
        existsSync(join(runDirectory, `${vbd.sysfsName}.json`)) ? undefined : true,
      ),
    );
  }

  events(vbd: Vbd, ...kinds: BlkbackEvent['event'][]): BlkbackEvent[] {
    return this.blkback
      .log()
      .filter(({ vbd: key, event }) => key === vbd.key && kinds.includes(event));
  }

  logged(vbd: Vbd, kind: BlkbackEvent['event']): Promise<BlkbackEvent> {
    return this.blkback.waitFor(
      ({ vbd: key, event }) => key === vbd.key && event === kind,
      5000,
      `${kind} ${vbd.key}`,
    );
  }

  loops(): string[] {
    return loopsOf(this.bed.images);
  }

  /** Returns the names of the files in the run directory, except for the lock. */
  records(): string[] {
    return readdirSync(this.bed.runDirectory).filter((name) => name !== 'sharing.lock');
  }

  /** Ends the guest's use of the disk, as the toolstack does before it runs `remove`. */
  async close(vbd: Vbd): Promise<void> {
    await closeVbd(this.store, vbd);
  }

  /** Removes the nodes, and waits until blkback has closed what it had open. */
  async delete(vbd: Vbd): Promise<void> {
    await deleteVbd(this.store, vbd);
    this.#vbds.delete(vbd.key);
    if (this.events(vbd, 'opened').length > 0) await this.logged(vbd, 'closed');
  }

  /** Asserts that only these loop devices are left. Waits up to 2 s, as udev may delay that. */
  assertNothingLeft(...expectedLoops: Loop[]): void {
    const expected = expectedLoops.map(({ path }) => path);
    for (let ms = 1; !isDeepStrictEqual(this.loops(), expected) && ms < 2000; ms *= 2) {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
    }
    assert.deepEqual(this.loops(), expected);
    assert.deepEqual(this.records(), []);
  }

  /** Asserts the nodes of a vbd while blkback has the loop device or disk at `path` open. */
  async assertConnected(vbd: Vbd, path: string, diskseq = diskseqOf(path)): Promise<void> {
    const hex = BigInt(diskseq).toString(16);
    assert.deepEqual(await this.nodes(vbd, ...HOTPLUG_NODES), [
      devnumOf(path),
      path,
      hex,
      'connected',
      undefined,
    ]);
    const opened = await this.logged(vbd, 'opened');
    assert.equal(opened.dev, devnumOf(path));
    assert.equal(opened.diskseq, diskseq);
  }

  /**
   * Asserts after a failed attach that no node names a device, that the toolstack is told why, and
   * that a loop device which was made for it is gone, but not the test's own.
   */
  async assertTakenBack(vbd: Vbd, error: { message: string }, ...own: Loop[]): Promise<void> {
    const none = [undefined, undefined, undefined];
    const expected = [...none, 'error', error.message];
    assert.deepEqual(await this.nodes(vbd, ...HOTPLUG_NODES), expected);
    this.assertNothingLeft(...own);
  }

  /**
   * Asserts after an attach that failed while blkback has the device at `path` open, or may open
   * it: the nodes still say so, the toolstack is told why, and the vbd's end has been asked for.
   */
  async assertKept(vbd: Vbd, error: { message: string }, path: string): Promise<void> {
    const nodes = ['physical-device', 'hotplug-status', 'hotplug-error', 'online', 'state'];
    const expected = [devnumOf(path), 'error', error.message, '0', '5'];
    assert.deepEqual(await this.nodes(vbd, ...nodes), expected);
  }

  /** Ends the vbds as libxl does when it destroys domains: the nodes go, then the script runs. */
  async destroyVbds(): Promise<void> {
    for (const vbd of [...this.#vbds.values()]) {
      await this.delete(vbd);
      await this.detach(vbd);
    }
  }

  /** Ends each test: without the vbds, nothing may be left. */
  async finish(): Promise<void> {
    for (const vbd of this.#vbds.values()) await this.delete(vbd);
    this.assertNothingLeft();
  }
}

/** Returns a test that runs `body` on a fixture of its own, at whose end nothing may be left. */
export function on(
  behaviour: BlkbackBehaviour,
  body: (fixture: HotplugFixture, context: Mocha.Context) => Promise<void>,
): Mocha.AsyncFunc {
  return async function (this: Mocha.Context) {
    await using bed = await startBed(behaviour);
    await using store = await openStore(bed);
    const fixture = new HotplugFixture(bed, store);
    try {
      await body(fixture, this);
      await fixture.finish();
    } catch (error) {
      detachAll(fixture.loops());
      throw error;
    }
  };
}

/** Detaches loop devices that a test has left, so that they do not disturb the next one. */
export function detachAll(loops: readonly string[]): void {
  for (const loop of loops) spawnSync('losetup', ['--detach', loop]);
}

/** Returns the backend path of a vbd in the form of the project. */
export function parse(vbd: Vbd | string): VbdPath {
  const path = parseVbdPath(typeof vbd === 'string' ? vbd : vbd.backendPath);
  assert.ok(path);
  return path;
}
