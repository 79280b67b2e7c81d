import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { VbdJobs } from '../../../src/daemon/vbd-jobs.js';
import { VbdQueue } from '../../../src/daemon/vbd-queue.js';
import { HotplugError } from '../../../src/hotplug/hotplug-error.js';
import { pause } from '../../../src/util/retry.js';
import { vbdPath } from '../../../src/vbd/vbd-path.js';
import type { Xenstore } from '../../../src/xenstore/xenstore.js';
import { MemoryXenstored } from '../../store/memory.js';

describe('The requests about one vbd', () => {
  const vbd = vbdPath(7, 51712);
  let directory: string;
  let store: Xenstore;
  let jobs: VbdJobs;

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'xen-queue-'));
    writeFileSync(join(directory, 'disk.img'), Buffer.alloc(4096));
    store = new MemoryXenstored().connect();
    const options = { timeoutMs: 5000, uapi: 'key', sysfs: '/nonexistent' } as const;
    jobs = new VbdJobs(store, { ...options, runDirectory: join(directory, 'run') }, async () => []);
    // The backend stays in state 1, so an attach waits for state 2.
    for (const [node, value] of Object.entries({
      frontend: '/local/domain/7/device/vbd/51712',
      params: join(directory, 'disk.img'),
      mode: 'w',
      dev: 'xvda',
      state: '1',
      online: '1',
    })) {
      await store.write(`${vbd.backend}/${node}`, value);
    }
  });
  afterEach(async () => {
    await jobs.abort(new HotplugError('the test ends', { code: 'ECANCELED' }));
    await store.close();
    rmSync(directory, { recursive: true, force: true });
  });

  it('are known to the daemon also where an add has waited for a remove', async () => {
    const removed = jobs.remove(vbd);
    const added = jobs.add(vbd);
    added.catch(() => undefined);
    await removed.catch(() => undefined);
    await pause(50);
    assert.equal(jobs.isRunning(vbd), true);
    // So the end of the daemon ends this attach, too.
    await jobs.abort(new HotplugError('the daemon ends', { code: 'ECANCELED' }));
    await assert.rejects(added, { code: 'ECANCELED' });
  });

  it('are known to the daemon also where a remove has waited for a clean-up', async () => {
    const cleaned = jobs.onBackendRemoved(vbd);
    const first = jobs.remove(vbd);
    await cleaned;
    const added = jobs.add(vbd);
    added.catch(() => undefined);
    await first.catch(() => undefined);
    await pause(50);
    assert.equal(jobs.isRunning(vbd), true);
    await jobs.remove(vbd).catch(() => undefined);
    await assert.rejects(added, { code: 'ECANCELED' });
  });

  it('go on where the daemon hears late that the predecessor of the vbd has gone', async () => {
    const added = jobs.add(vbd);
    added.catch(() => undefined);
    await pause(50);
    await jobs.onBackendRemoved(vbd);
    assert.equal(jobs.isRunning(vbd), true);
  });

  it('begin an attach of their own where the vbd of an earlier request was made anew', async () => {
    const earlier = jobs.add(vbd);
    earlier.catch(() => undefined);
    const later = jobs.add(vbd);
    later.catch(() => undefined);
    await pause(50);
    await store.write(`${vbd.backend}/state`, '6');
    await assert.rejects(earlier, { code: 'ESTATE' });
    await store.write(`${vbd.backend}/state`, '1');
    assert.equal(jobs.isRunning(vbd), true);
  });

  it('end by their deadline, also where an add has waited for a remove', async () => {
    const entry = join(directory, 'sys/bus/xen-backend/devices', vbd.sysfsName);
    mkdirSync(entry, { recursive: true });
    writeFileSync(join(entry, 'physical_device'), '7:0\n');
    await store.write(`${vbd.backend}/online`, '0');
    const options = { timeoutMs: 2000, uapi: 'key', sysfs: join(directory, 'sys') } as const;
    const queue = new VbdQueue(store, vbd, { ...options, runDirectory: join(directory, 'run') });
    const removed = queue.remove();
    removed.catch(() => undefined);
    await pause(300);
    const started = performance.now();
    // blkback keeps the device, so the remove fails, and the add begins with what time is left.
    await assert.rejects(queue.add(), { code: 'ETIMEDOUT' });
    assert.ok(performance.now() - started < 2400, `${performance.now() - started} ms`);
    await assert.rejects(removed, { code: 'ETIMEDOUT' });
    assert.equal(queue.isAttaching, false);
  });

  it('are served one after another, also where a remove and an add have waited for a clean-up', async () => {
    const devices = join(directory, 'sys/bus/xen-backend/devices');
    const entry = join(devices, vbd.sysfsName);
    mkdirSync(entry, { recursive: true });
    writeFileSync(join(entry, 'physical_device'), '7:0\n');
    await store.write(`${vbd.backend}/online`, '0');
    const options = { timeoutMs: 5000, uapi: 'key', sysfs: join(directory, 'sys') } as const;
    const queue = new VbdQueue(store, vbd, { ...options, runDirectory: join(directory, 'run') });
    const cleaned = queue.cleanUp();
    const removed = queue.remove();
    const added = queue.add();
    added.catch(() => undefined);
    await cleaned;
    await pause(100);
    assert.deepEqual([queue.isBusy, queue.isAttaching], [true, false]);
    // blkback closes the device, so the remove ends and the add begins.
    rmSync(entry, { recursive: true });
    await removed;
    await pause(50);
    assert.equal(queue.isAttaching, true);
    queue.abort(new HotplugError('the test ends', { code: 'ECANCELED' }));
    await assert.rejects(added, { code: 'ECANCELED' });
  });
});
