import assert from 'node:assert/strict';
import { waitFor } from '../../src/xenstore/wait-for.js';
import type { StoreBed } from './store-bed.js';
import { EventLog, rejectsWith } from './support.js';

/** More requests than one client has under way at a time. */
const MANY = 20;

/**
 * Defines the tests of a client's life: aborts, deadlines, the end of the client and of the
 * connection.
 */
export function lifetimeContract(bed: () => StoreBed, start: () => Promise<StoreBed>): void {
  describe('lifetime', () => {
    it('an aborted signal rejects with its reason, before and during a request', async () => {
      await using store = await bed().connect();
      const boom = new Error('boom');
      await assert.rejects(store.read('/', { signal: AbortSignal.abort(boom) }), boom);
      await assert.rejects(store.transact([], { signal: AbortSignal.abort(boom) }), boom);
      bed().pause();
      try {
        const controller = new AbortController();
        const { signal } = controller;
        const pending = [
          store.read('/', { signal }),
          store.watch('/', new EventLog(), { signal }),
          store.transaction(async () => {}, { signal }),
          waitFor(store, ['/'], async () => undefined, { signal }),
        ];
        setTimeout(() => controller.abort(boom), 20);
        for (const promise of pending) await assert.rejects(promise, boom);
      } finally {
        bed().resume();
      }
      await store.read('/');
    });

    it('a request that is not answered in time rejects with ETIMEDOUT', async () => {
      await using store = await bed().connect({ requestTimeoutMs: 50 });
      bed().pause();
      try {
        const reads = Array.from({ length: MANY }, () => store.read('/'));
        const queued = store.write('/late-write', 'x');
        const error = await rejectsWith('ETIMEDOUT', reads[0] ?? assert.fail());
        assert.equal(
          error.message,
          'XenStore read of / failed: xenstored did not answer within 50 ms',
        );
        for (const request of [...reads, queued]) await rejectsWith('ETIMEDOUT', request);
      } finally {
        bed().resume();
      }
      // Requests are served in order. So this answer also shows that the aborted request, which had
      // to wait, was never sent.
      await rejectsWith('ENOENT', store.read('/late-write'));
    });

    it('a watch that is registered too late is given back', async () => {
      await using store = await bed().connect({ requestTimeoutMs: 50 });
      const log = new EventLog();
      bed().pause();
      try {
        await rejectsWith('ETIMEDOUT', store.watch('/', log));
      } finally {
        bed().resume();
      }
      await store.write('/late-watch', 'x');
      await store.remove('/late-watch');
      assert.deepEqual(log.paths, []);
    });

    it('close() may be called twice; pending and later requests reject with ECLOSED', async () => {
      const store = await bed().connect();
      const log = new EventLog();
      const watch = await store.watch('/closed', log);
      const waiting = waitFor(store, ['/closed'], async () => undefined);
      const pending = [store.read('/'), store.transact([]), store.transaction(async () => {})];
      // One turn later the wait may have set its watches or not. It must end in both cases.
      setImmediate(() => store.close());
      const outcomes = pending.map((promise) =>
        promise.then(
          () => 'done',
          (error) => error.code,
        ),
      );
      await rejectsWith('ECLOSED', waiting);
      for (const outcome of await Promise.all(outcomes))
        assert.ok(['done', 'ECLOSED'].includes(outcome));
      await Promise.all([store.close(), store.close()]);
      await rejectsWith('ECLOSED', store.read('/'));
      await rejectsWith('ECLOSED', store.watch('/', log));
      await watch.close();
      assert.equal(log.losses.length, 1);
    });

    it('close() ends what an unresponsive store leaves pending', async () => {
      const store = await bed().connect();
      bed().pause();
      try {
        const pending = [store.read('/'), store.write('/a', 'x')];
        const settled = Promise.allSettled(pending);
        await store.close();
        await settled;
        for (const promise of pending) await rejectsWith('ECLOSED', promise);
      } finally {
        bed().resume();
      }
    });

    it('a lost connection ends everything with ECONNRESET', async () => {
      await using mortal = await start();
      const store = await mortal.connect();
      const log = new EventLog();
      const watch = await store.watch('/x', log);
      const closed = new EventLog();
      await (await store.watch('/x', closed)).close();
      const waiting = waitFor(store, ['/x'], async () => undefined);
      await log.sees('/x');
      mortal.pause();
      const pending = store.read('/');
      mortal.kill();
      await rejectsWith('ECONNRESET', waiting);
      await rejectsWith('ECONNRESET', pending);
      await log.until(() => log.losses.length > 0);
      const error = await rejectsWith('ECONNRESET', Promise.reject(log.losses[0]));
      assert.match(error.message, /connection to xenstored was lost/);
      await rejectsWith('ECONNRESET', store.write('/a', 'x'));
      await rejectsWith('ECONNRESET', store.watch('/a', log));
      await rejectsWith(
        'ECONNRESET',
        store.transaction(async () => {}),
      );
      await watch.close();
      await store.close();
      assert.equal(log.losses.length, 1);
      assert.equal(closed.losses.length, 0);
      await rejectsWith('ECLOSED', store.read('/'));
    });
  });
}
