import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BackendWatch } from '../../../src/daemon/backend-watch.js';
import type { VbdEvent } from '../../../src/daemon/vbd-event.js';
import { VbdJobs } from '../../../src/daemon/vbd-jobs.js';
import { pause } from '../../../src/util/retry.js';
import { PublicationIndex } from '../../../src/vbd/publication-index.js';
import { vbdPath } from '../../../src/vbd/vbd-path.js';
import type { TransactionStep, Xenstore } from '../../../src/xenstore/xenstore.js';
import { XenstoreError } from '../../../src/xenstore/xenstore-error.js';
import { MemoryXenstored } from '../../store/memory.js';
import { withTransactions } from '../../store/with-transactions.js';

/** A medium that cannot be attached, so that no test needs a loop device. */
const BAD = '/nonexistent/bad.iso';
/** Longer than anything takes that is under way in a store in memory. */
const QUIET_MS = 50;

describe('The watch of the daemon, for a CD-ROM drive', () => {
  const vbd = vbdPath(7, 51760);
  let directory: string;
  let toolstack: Xenstore;
  let store: Xenstore;
  let jobs: VbdJobs;
  let watch: BackendWatch;
  let events: VbdEvent[];
  let listLayers: () => Promise<string[]>;
  /** Called when the daemon has carried out a transaction, and before it knows. */
  let onCommit: (steps: readonly TransactionStep[]) => Promise<void>;

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'xen-watch-'));
    mkdirSync(join(directory, 'bus/xen-backend/devices', vbd.sysfsName), { recursive: true });
    const server = new MemoryXenstored();
    toolstack = server.connect();
    onCommit = async () => undefined;
    store = withTransactions(server.connect(), async (transact, steps) => {
      const outcome = await transact();
      await onCommit(steps);
      return outcome;
    });
    events = [];
    const options = {
      timeoutMs: 5000,
      uapi: 'key',
      sysfs: directory,
      runDirectory: join(directory, 'run'),
      onEvent: (event: VbdEvent) => events.push(event),
    } as const;
    listLayers = async () => [];
    jobs = new VbdJobs(store, options, () => listLayers());
    const publications = new PublicationIndex(store);
    watch = new BackendWatch(store, jobs, publications, { scripts: [], all: true });
    await watch.start(() => undefined);
  });
  afterEach(async () => {
    watch.stopAccepting();
    await jobs.settled();
    await watch.stop();
    await store.close();
    await toolstack.close();
    rmSync(directory, { recursive: true, force: true });
  });

  /** Makes the drive, without a medium unless `params` names one. */
  async function create(change: Readonly<Record<string, string>> = {}): Promise<void> {
    const nodes = {
      frontend: `/local/domain/7/device/vbd/${vbd.devid}`,
      params: '',
      mode: 'r',
      dev: 'hdc',
      'device-type': 'cdrom',
      online: '1',
      state: '2',
      ...change,
    };
    await toolstack.transact(
      Object.entries(nodes).map(([node, value]) => ({
        op: 'write',
        path: `${vbd.backend}/${node}`,
        value,
      })),
    );
  }

  async function write(node: string, value: string): Promise<void> {
    await toolstack.write(`${vbd.backend}/${node}`, value);
  }

  /** Returns how the adds have ended so far. */
  function ends(): string[] {
    return events
      .map(({ step }) => step)
      .filter((step) => step === 'attached' || step === 'failed');
  }

  /** Waits until something is true, for 5 s at most: the first attach of a process takes long. */
  async function until(isTrue: () => boolean): Promise<void> {
    for (let times = 0; !isTrue() && times < 1000; times++) await pause(5);
  }

  /** Asserts how all adds end, and what the daemon has told the toolstack at last. */
  async function assertEnds(expected: string[], status: string): Promise<void> {
    await until(() => ends().length >= expected.length);
    await pause(QUIET_MS);
    const [told] = await toolstack.readMany([`${vbd.backend}/hotplug-status`]);
    assert.deepEqual({ ends: ends(), status: told?.toString() }, { ends: expected, status });
  }

  it('serves what is put in after a medium that could not be attached', async () => {
    await create({ params: BAD });
    await assertEnds(['failed'], 'error');
    await write('params', '');
    await assertEnds(['failed', 'attached'], 'connected');
    const error = await toolstack.readMany([`${vbd.backend}/hotplug-error`]);
    assert.deepEqual(error, [undefined]);
  });

  it('tries a medium again that is put in once more', async () => {
    await create({ params: BAD });
    await assertEnds(['failed'], 'error');
    await write('params', BAD);
    await assertEnds(['failed', 'failed'], 'error');
  });

  it('does not try a medium again because of another node', async () => {
    await create({ params: BAD });
    await assertEnds(['failed'], 'error');
    await write('state', '2');
    await watch.rescan();
    await assertEnds(['failed'], 'error');
  });

  it('serves a drive whose guest went away and came back during the add', async () => {
    await create({ state: '1' });
    await until(() => jobs.isRunning(vbd));
    await write('state', '6');
    await assertEnds(['failed'], 'error');
    await write('state', '2');
    await assertEnds(['failed', 'attached'], 'connected');
  });

  /** Does something once, when the daemon has reported that the drive is empty, before it knows. */
  function onceReported(does: () => Promise<void>): void {
    onCommit = async (steps) => {
      if (!steps.some((step) => step.op === 'write' && step.value === 'connected')) return;
      onCommit = async () => undefined;
      await does();
      await pause(QUIET_MS);
    };
  }

  it('attaches a medium that is put in before the add of the empty drive has ended', async () => {
    onceReported(() => write('params', BAD));
    await create();
    await assertEnds(['attached', 'failed'], 'error');
  });

  it('serves an empty drive once, whatever is written meanwhile', async () => {
    onceReported(() => write('params', ''));
    await create();
    await assertEnds(['attached'], 'connected');
    await write('params', '');
    await watch.rescan();
    await assertEnds(['attached'], 'connected');
  });

  it('serves a drive that was made anew while the one before was cleaned up', async () => {
    await create();
    await assertEnds(['attached'], 'connected');
    let isCleaning = false;
    onCommit = async () => {
      if (isCleaning) return;
      isCleaning = true;
      await create();
      await pause(QUIET_MS);
    };
    const removed = jobs.remove(vbd);
    await toolstack.remove(vbd.backend);
    await removed;
    await assertEnds(['attached', 'attached'], 'connected');
  });

  for (const gone of ['backend/vbd/7', 'backend/vbd']) {
    it(`cleans up after a vbd that went with ${gone}, also if device-mapper does not answer`, async () => {
      await create();
      await assertEnds(['attached'], 'connected');
      listLayers = () => Promise.reject(new Error('too many open files'));
      await toolstack.remove(gone);
      await until(() => events.at(-1)?.step === 'removed');
      assert.equal(events.at(-1)?.step, 'removed');
    });
  }
});

describe('The start of the watch of the daemon', () => {
  /** Starts it on a store in which requests about some path fail, and returns what it says. */
  async function start(path: string, error: XenstoreError): Promise<string[]> {
    const directory = mkdtempSync(join(tmpdir(), 'xen-watch-'));
    await using store = new MemoryXenstored().connect();
    for (const guest of [7, 8]) await store.write(`backend/vbd/${guest}/51712/frontend`, '/x');
    const { directory: list, readMany } = store;
    Object.assign(store, {
      directory: async (...words: Parameters<typeof list>) => {
        if (words[0] === path) throw error;
        return await list.apply(store, words);
      },
      readMany: async (...words: Parameters<typeof readMany>) => {
        if (words[0].includes(path)) throw error;
        return await readMany.apply(store, words);
      },
    });
    const notices: string[] = [];
    const options = {
      timeoutMs: 5000,
      uapi: 'key',
      sysfs: directory,
      runDirectory: directory,
    } as const;
    const jobs = new VbdJobs(store, { ...options, onEvent: () => undefined }, async () => []);
    const watch = new BackendWatch(store, jobs, new PublicationIndex(store), {
      scripts: [],
      all: true,
      onNotice: (text) => notices.push(text),
    });
    try {
      await watch.start(() => undefined);
    } finally {
      await watch.stop();
      rmSync(directory, { recursive: true });
    }
    return notices;
  }

  const refusal = new XenstoreError('permission denied', { code: 'EACCES', errno: 13 });
  for (const [what, path, named] of [
    ['a vbd', 'backend/vbd/7/51712/params', 'backend/vbd/7/51712'],
    ['a guest', 'backend/vbd/7', 'backend/vbd/7'],
  ] as const) {
    it(`is not kept up by ${what} whose nodes may not be read`, async () => {
      assert.deepEqual(await start(path, refusal), [
        `${named} is not served before its nodes change, because they cannot be read: permission denied`,
      ]);
    });

    it(`fails where xenstored does not answer for ${what}`, async () => {
      const lost = new XenstoreError('lost', { code: 'ECONNRESET', errno: 104 });
      await assert.rejects(start(path, lost), { code: 'ECONNRESET' });
      const late = new XenstoreError('no answer', { code: 'ETIMEDOUT' });
      await assert.rejects(start(path, late), { code: 'ETIMEDOUT' });
    });
  }
});
