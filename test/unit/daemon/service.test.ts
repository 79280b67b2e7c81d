import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Service } from '../../../src/daemon/service.js';
import type { VbdEvent } from '../../../src/daemon/vbd-event.js';
import { pause } from '../../../src/util/retry.js';
import { vbdPath } from '../../../src/vbd/vbd-path.js';
import type { Xenstore } from '../../../src/xenstore/xenstore.js';
import { temporaryDirectory } from '../../bed/paths.js';
import { MemoryXenstored } from '../../store/memory.js';

describe('The service', () => {
  /** Runs a service for a while. Returns how often it has connected, and what it has reported. */
  async function runFor(
    ms: number,
    connect: () => Promise<Xenstore>,
  ): Promise<{ connects: number; notices: string[]; ready: number; isWell: boolean }> {
    let connects = 0;
    let ready = 0;
    const notices: string[] = [];
    const service = new Service({
      scripts: [],
      all: false,
      jobs: {
        timeoutMs: 1000,
        uapi: 'key',
        sysfs: '/nonexistent',
        runDirectory: '/nonexistent',
      },
      connect: async () => {
        connects++;
        return await connect();
      },
      onNotice: (text) => notices.push(text),
      onReady: () => ready++,
    });
    const stop = new AbortController();
    const run = service.run(stop.signal);
    await pause(ms);
    const isWell = await service.isWell(AbortSignal.timeout(1000)).catch(() => false);
    stop.abort(new Error('enough'));
    await run;
    return { connects, notices, ready, isWell };
  }

  it('connects ever less often where it cannot, and says so once', async () => {
    const { connects, notices, ready } = await runFor(800, () =>
      Promise.reject(new Error('nobody is there')),
    );
    assert.ok(connects >= 2 && connects <= 7, `${connects} times`);
    assert.deepEqual(notices, ['nobody is there; connecting again']);
    assert.equal(ready, 0);
  });

  it('does the same where a connection is of no use', async () => {
    const server = new MemoryXenstored();
    const { connects, notices } = await runFor(800, async () => {
      const store = server.connect();
      await store.close();
      return store;
    });
    assert.ok(connects >= 2 && connects <= 7, `${connects} times`);
    assert.equal(notices.length, 1, notices.join('\n'));
  });

  it('does the same where each connection is lost as soon as it serves', async () => {
    const server = new MemoryXenstored();
    const { connects, ready } = await runFor(800, async () => {
      setTimeout(() => server.kill(), 20);
      return server.connect();
    });
    assert.ok(ready >= 1);
    assert.ok(connects >= 2 && connects <= 7, `${connects} times`);
  });

  it('ends a removal that is under way when its connection is lost', async () => {
    const directory = temporaryDirectory();
    const vbd = vbdPath(7, 51712);
    const entry = join(directory, 'bus/xen-backend/devices', vbd.sysfsName);
    mkdirSync(entry, { recursive: true });
    writeFileSync(join(entry, 'physical_device'), '7:0\n');
    const server = new MemoryXenstored();
    const store = server.connect();
    await store.write('domid', '0');
    await store.write(`${vbd.backend}/frontend`, '/local/domain/7/device/vbd/51712');
    const events: VbdEvent[] = [];
    let ready = (): void => undefined;
    const isReady = new Promise<void>((resolve) => {
      ready = resolve;
    });
    const service = new Service({
      scripts: [],
      all: false,
      jobs: {
        timeoutMs: 4000,
        uapi: 'key',
        sysfs: directory,
        runDirectory: directory,
        onEvent: (event) => events.push(event),
      },
      connect: async () => server.connect(),
      onNotice: () => undefined,
      onReady: () => ready(),
    });
    const stop = new AbortController();
    const run = service.run(stop.signal);
    await isReady;
    // blkback has the device open, so the removal waits.
    const removed = service.handle({ action: 'remove', path: vbd.backend });
    removed.catch(() => undefined);
    await pause(200);
    server.kill();
    await pause(1000);
    assert.deepEqual(
      events.filter(({ step }) => step === 'failed').map(({ code }) => code),
      ['ECANCELED'],
    );
    await assert.rejects(removed);
    stop.abort(new Error('enough'));
    await run;
    rmSync(directory, { recursive: true });
  });

  it('is well while its store answers, and not while it does not', async () => {
    const server = new MemoryXenstored();
    assert.equal((await runFor(100, async () => server.connect())).isWell, true);
    const hung = new MemoryXenstored();
    setTimeout(() => hung.pause(), 50);
    assert.equal((await runFor(200, async () => hung.connect())).isWell, false);
  });
});
