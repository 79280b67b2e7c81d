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

  /** Returns how the adds have ended so far, and the daemon's last word to the toolstack. */
  async function ends(): Promise<{ ends: string[]; status: string | undefined }> {
    await pause(QUIET_MS);
    const [status] = await toolstack.readMany([`${vbd.backend}/hotplug-status`]);
    return {
      ends: events
        .filter(({ step }) => step === 'attached' || step === 'failed')
        .map(({ step }) => step),
      status: status?.toString(),
    };
  }

  it('serves what is put in after a medium that could not be attached', async () => {
    await create({ params: BAD });
    assert.deepEqual(await ends(), { ends: ['failed'], status: 'error' });
    await write('params', '');
    assert.deepEqual(await ends(), { ends: ['failed', 'attached'], status: 'connected' });
    const error = await toolstack.readMany([`${vbd.backend}/hotplug-error`]);
    assert.deepEqual(error, [undefined]);
  });

  it('tries a medium again that is put in once more', async () => {
    await create({ params: BAD });
    await ends();
    await write('params', BAD);
    assert.deepEqual(await ends(), { ends: ['failed', 'failed'], status: 'error' });
  });

  it('does not try a medium again because of another node', async () => {
    await create({ params: BAD });
    await ends();
    await write('state', '2');
    await watch.rescan();
    assert.deepEqual(await ends(), { ends: ['failed'], status: 'error' });
  });

  it('serves a drive whose guest went away and came back during the add', async () => {
    await create({ state: '1' });
    await pause(QUIET_MS);
    await write('state', '6');
    assert.deepEqual(await ends(), { ends: ['failed'], status: 'error' });
    await write('state', '2');
    assert.deepEqual(await ends(), { ends: ['failed', 'attached'], status: 'connected' });
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
    await pause(2 * QUIET_MS);
    assert.deepEqual(await ends(), { ends: ['attached', 'failed'], status: 'error' });
  });

  it('serves an empty drive once, whatever is written meanwhile', async () => {
    onceReported(() => write('params', ''));
    await create();
    await pause(2 * QUIET_MS);
    assert.deepEqual(await ends(), { ends: ['attached'], status: 'connected' });
    await write('params', '');
    await watch.rescan();
    assert.deepEqual(await ends(), { ends: ['attached'], status: 'connected' });
  });

  it('serves a drive that was made anew while the one before was cleaned up', async () => {
    await create();
    await ends();
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
    assert.deepEqual(await ends(), { ends: ['attached', 'attached'], status: 'connected' });
  });

  for (const gone of ['backend/vbd/7', 'backend/vbd']) {
    it(`cleans up after a vbd that went with ${gone}, also if device-mapper does not answer`, async () => {
      await create();
      await ends();
      listLayers = () => Promise.reject(new Error('too many open files'));
      await toolstack.remove(gone);
      await pause(QUIET_MS);
      assert.deepEqual(
        events.filter(({ action }) => action === 'remove').map(({ step }) => step),
        ['planned', 'closed', 'released', 'removed'],
      );
    });
  }
});
