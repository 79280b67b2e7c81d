import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { readText } from '../../src/xenstore/text.js';
import { needs } from '../bed/needs.js';
import { assertReturnedTo, resources, returnsTo } from './resources.js';
import { startNativeBed } from './store-bed.js';
import { EventLog } from './support.js';

describe('XenStore client and what it holds', () => {
  let bed: Awaited<ReturnType<typeof startNativeBed>>;

  before(async function () {
    needs(this, 'xenstored');
    bed = await startNativeBed();
    await (await bed.connect()).close();
  });
  after(() => bed?.[Symbol.asyncDispose]());

  it('has given everything back when close() resolves, 200 times over', async () => {
    const before = resources();
    for (let n = 0; n < 200; n++) {
      const store = await bed.connect();
      await store.write('/cycle', String(n));
      if (n % 2 === 0) await store.watch('/cycle', new EventLog());
      const unanswered = n % 4 < 2 ? [] : [store.read('/cycle').catch(() => {})];
      await store.close();
      await Promise.all(unanswered);
      await assertReturnedTo(before);
    }
  });

  it('opens many connections at a time, each with its own socket', async () => {
    const before = resources();
    const stores = await Promise.all(Array.from({ length: 20 }, () => bed.connect()));
    const values = await Promise.all(
      stores.map(async (store, n) => {
        await store.write(`/many-${n}`, String(n));
        return await readText(store, `/many-${n}`);
      }),
    );
    assert.deepEqual(values, [...stores.keys()].map(String));
    // Each client can be closed alone, with a request under way.
    bed.pause();
    const pending = stores.map((store) => store.read('/').catch(() => {}));
    await new Promise((resolve) => setTimeout(resolve, 10));
    const [first, ...others] = stores;
    await first?.close();
    bed.resume();
    await Promise.all(others.map((store) => store.read('/')));
    await Promise.all([...pending, ...others.map((store) => store.close())]);
    await assertReturnedTo(before);
  });

  it('delivers a burst of events, each of them', async () => {
    await using store = await bed.connect();
    await using other = await bed.connect();
    const log = new EventLog();
    await store.watch('/burst', log);
    // The events are of different nodes, because since XSA-326 xenstored keeps only one of
    // identical events in its queue.
    const writes = Array.from({ length: 2000 }, (_, n) => other.write(`/burst/${n}`, 'x'));
    await Promise.all(writes);
    await log.until(() => log.paths.length === 2001);
  });

  it('works in workers, which may be terminated with requests pending', async () => {
    const before = resources();
    for (const hung of [false, true]) {
      const workers = await Promise.all(Array.from({ length: 3 }, () => startWorker()));
      if (hung) bed.pause();
      for (const worker of workers) {
        worker.postMessage('submit');
        const [answer] = await once(worker, 'message');
        assert.deepEqual(answer, { submitted: 20 });
      }
      await Promise.all(workers.map((worker) => worker.terminate()));
      bed.resume();
      await returnsTo(before);
    }
    await using store = await bed.connect();
    assert.match((await readText(store, '/worker')) ?? '', /[xy]/);
  });

  async function startWorker(): Promise<Worker> {
    const worker = new Worker(new URL('./native-worker.js', import.meta.url), {
      workerData: { pending: 20 },
    });
    const [answer] = await once(worker, 'message');
    assert.deepEqual(answer, { ready: true, value: 'x' });
    return worker;
  }
});
