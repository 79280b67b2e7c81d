import assert from 'node:assert/strict';
import { performance } from 'node:perf_hooks';
import { openXenstore } from '../../src/xenstore/open.js';
import type { Xenstore } from '../../src/xenstore/xenstore.js';
import { needs } from '../bed/needs.js';
import { assertReturnedTo, type Resources, resources } from './resources.js';
import { startNativeBed } from './store-bed.js';
import { EventLog, rejectsWith } from './support.js';

describe('XenStore client and a xenstored in trouble', () => {
  let bed: Awaited<ReturnType<typeof startNativeBed>>;
  let held: Resources;

  before(function () {
    needs(this, 'xenstored');
  });
  beforeEach(async () => {
    bed = await startNativeBed();
    held = resources();
  });
  afterEach(() => bed[Symbol.asyncDispose]());

  /** Returns the milliseconds that `body` takes. */
  async function timed(body: () => Promise<unknown>): Promise<number> {
    const start = performance.now();
    await body();
    return performance.now() - start;
  }

  it('is told at once of a xenstored killed while idle', async () => {
    const store = await bed.connect();
    const log = new EventLog();
    await store.watch('/x', log);
    await log.sees('/x');
    const ms = await timed(async () => {
      bed.kill();
      await log.until(() => log.losses.length > 0);
    });
    assert.ok(ms < 1000, `took ${ms} ms`);
    await rejectsWith('ECONNRESET', store.read('/'));
    await store.close();
    await assertReturnedTo(held);
  });

  it('is told by the failing request where it had no watch', async () => {
    const store = await bed.connect();
    await store.read('/');
    bed.kill();
    await rejectsWith('ECONNRESET', store.read('/'));
    await store.close();
    await assertReturnedTo(held);
  });

  it('leaks nothing when many connections are lost in the middle of requests', async () => {
    const stores = await Promise.all(Array.from({ length: 30 }, () => bed.connect()));
    const busy = async (store: Xenstore, n: number) => {
      if (n % 2 === 0) await store.watch(`/busy-${n}`, new EventLog());
      for (;;) await store.write(`/busy-${n}`, 'x');
    };
    const ends = stores.map((store, n) => rejectsWith('ECONNRESET', busy(store, n)));
    await stores[0]?.read('/');
    bed.kill();
    await Promise.all(ends);
    await Promise.all(stores.map((store) => store.close()));
    await assertReturnedTo(held);
  });

  for (const watching of [false, true]) {
    it(`closes promptly in the middle of a request, ${watching ? 'with' : 'without'} a watch`, async () => {
      const store = await bed.connect();
      if (watching) await store.watch('/x', new EventLog());
      bed.pause();
      const pending = [store.read('/'), store.read('/')].map((request) =>
        rejectsWith('ECLOSED', request),
      );
      await new Promise((resolve) => setTimeout(resolve, 10));
      const ms = await timed(() => store.close());
      assert.ok(ms < 500, `took ${ms} ms`);
      await Promise.all(pending);
      await assertReturnedTo(held);
      bed.resume();
      await (await bed.connect()).close();
    });
  }

  it('keeps the event loop free while xenstored hangs', async () => {
    const stores = await Promise.all(Array.from({ length: 6 }, () => bed.connect()));
    bed.pause();
    const pending = stores.map((store) => rejectsWith('ECLOSED', store.read('/')));
    let longest = 0;
    let last = performance.now();
    for (let turn = 0; turn < 50; turn++) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      longest = Math.max(longest, performance.now() - last);
      last = performance.now();
    }
    assert.ok(longest < 200, `one turn took ${longest} ms`);
    // The thread pool that files and DNS share is free too.
    const { stat } = await import('node:fs/promises');
    await stat('/');
    await Promise.all(stores.map((store) => store.close()));
    await Promise.all(pending);
    await assertReturnedTo(held);
  });

  it('can give up connecting, and goes on trying until then', async () => {
    bed.pause();
    // xenstored lets two connections wait until it accepts them. There is no room for more.
    const opened: Xenstore[] = [];
    const refused: unknown[] = [];
    for (let n = 0; n < 6; n++) {
      await bed.connect({ requestTimeoutMs: 50 }).then(
        (store) => opened.push(store),
        (error: unknown) => refused.push(error),
      );
    }
    assert.ok(opened.length > 0 && refused.length > 0, `${opened.length} were opened`);
    for (const error of refused) await rejectsWith('ETIMEDOUT', Promise.reject(error));
    const boom = new Error('boom');
    const controller = new AbortController();
    const aborted = openXenstore({ signal: controller.signal });
    setTimeout(() => controller.abort(boom), 10);
    await assert.rejects(aborted, boom);
    await Promise.all(opened.map((store) => store.close()));
    await assertReturnedTo(held);
    const last = openXenstore();
    setTimeout(() => bed.resume(), 40);
    await using store = await last;
    await store.read('/');
  });

  it('says where it looked for a xenstored that is not there', async () => {
    process.env.XENSTORED_PATH = '/nonexistent/socket';
    const error = await rejectsWith('ECONNREFUSED', openXenstore());
    assert.match(error.message, /^cannot reach xenstored at \/nonexistent\/socket: is it running/);
    bed.kill();
    await rejectsWith('ECONNREFUSED', killed());
    await assertReturnedTo(held);

    /**
     * Connects until that fails. The kernel may still accept connections until the process ends.
     */
    async function killed(): Promise<void> {
      for (;;) await (await bed.connect()).close();
    }
  });
});
