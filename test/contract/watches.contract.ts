import assert from 'node:assert/strict';
import { errorCode } from '../../src/errors.js';
import { readText } from '../../src/xenstore/text.js';
import { waitFor } from '../../src/xenstore/wait-for.js';
import type { Xenstore } from '../../src/xenstore/xenstore.js';
import { EventLog, rejectsWith } from './support.js';

/** Defines the tests of watches. `other` is a second client of the same store. */
export function watchesContract(
  place: () => { store: Xenstore; other: Xenstore; dir: string },
): void {
  describe('watches', () => {
    it('report once at first, then each change below', async () => {
      const { store, other, dir } = place();
      const log = new EventLog();
      await using watch = await store.watch(dir, log);
      assert.equal(watch.path, dir);
      await log.sees(dir);
      await other.write(`${dir}/a/b`, '1');
      await log.sees(`${dir}/a/b`);
      await other.write(`${dir}/a/b`, '1');
      await log.sees(`${dir}/a/b`);
      await other.remove(`${dir}/a/b`);
      await log.sees(`${dir}/a/b`);
      await other.setPermissions(`${dir}/a`, [{ domid: 0, access: 'r' }]);
      await log.sees(`${dir}/a`);
    });

    it('report the removal of an ancestor as a change of the watched path', async () => {
      const { store, other, dir } = place();
      await other.write(`${dir}/a/b/c`, '1');
      const log = new EventLog();
      await using _watch = await store.watch(`${dir}/a/b`, log);
      await log.sees(`${dir}/a/b`);
      await other.remove(dir);
      await log.sees(`${dir}/a/b`);
    });

    it('report relative paths to a relative watch', async () => {
      const { store, other, dir } = place();
      const relative = dir.slice(1);
      const log = new EventLog();
      await using _watch = await store.watch(relative, log);
      await log.sees(relative);
      await other.write(`/local/domain/0/${relative}/x`, '1');
      await log.sees(`${relative}/x`);
    });

    it('say nothing after close, which may be called twice', async () => {
      const { store, dir } = place();
      const closed = new EventLog();
      const open = new EventLog();
      const watch = await store.watch(dir, closed);
      await using _open = await store.watch(dir, open);
      await closed.sees(dir);
      const closing = watch.close();
      await store.write(dir, '1');
      await Promise.all([closing, watch.close()]);
      await store.write(`${dir}/x`, '1');
      await open.sees(`${dir}/x`);
      assert.deepEqual(closed.paths, []);
      assert.deepEqual(closed.losses, []);
    });

    it('can be set on domains coming and going, not on bad paths', async () => {
      const { store } = place();
      const log = new EventLog();
      await using _watch = await store.watch('@releaseDomain', log);
      await log.sees('@releaseDomain');
      await rejectsWith('EINVAL', store.watch('@somethingElse', log));
      await rejectsWith('EINVAL', store.watch('a//b', log));
    });

    it('report what a transaction changes when it is committed', async () => {
      const { store, other, dir } = place();
      const log = new EventLog();
      await using _watch = await store.watch(dir, log);
      await log.sees(dir);
      await other.transaction(async (tx) => {
        await tx.write(`${dir}/in`, '1');
        await store.write(`${dir}x`, 'a trip to the store and back');
        assert.deepEqual(log.paths, []);
      });
      await log.sees(`${dir}/in`);
    });
  });

  describe('a covering watch', () => {
    it('serves those below it, which are told what they would be told without it', async () => {
      const { store, other, dir } = place();
      const cover = new EventLog();
      await using _cover = await store.watch(dir, cover, { covering: true });
      await cover.sees(dir);
      const logs = { a: new EventLog(), b: new EventLog() };
      await using watch = await store.watch(`${dir}/a`, logs.a);
      await using _b = await store.watch(`${dir}/b/deep`, logs.b);
      assert.equal(watch.path, `${dir}/a`);
      await logs.a.sees(`${dir}/a`);
      await logs.b.sees(`${dir}/b/deep`);
      await other.write(`${dir}/a/x`, '1');
      await logs.a.sees(`${dir}/a/x`);
      await cover.until(() => cover.paths.includes(`${dir}/a/x`));
      assert.deepEqual(logs.b.paths, []);
      await other.write(`${dir}/b/deep`, '1');
      await logs.b.sees(`${dir}/b/deep`);
      await other.remove(dir);
      await logs.a.sees(`${dir}/a`);
      await logs.b.sees(`${dir}/b/deep`);
    });

    it('leaves those that it does not cover to xenstored', async () => {
      const { store, other, dir } = place();
      await using _cover = await store.watch(`${dir}/a`, new EventLog(), { covering: true });
      const log = new EventLog();
      await using _watch = await store.watch(`${dir}/ab`, log);
      await log.sees(`${dir}/ab`);
      await other.write(`${dir}/ab/x`, '1');
      await log.sees(`${dir}/ab/x`);
    });

    it('takes those that it serves with it when it is closed, not those that were', async () => {
      const { store, dir } = place();
      const cover = await store.watch(dir, new EventLog(), { covering: true });
      const [open, closed] = [new EventLog(), new EventLog()];
      await using _open = await store.watch(`${dir}/a`, open);
      const watch = await store.watch(`${dir}/a`, closed);
      await closed.sees(`${dir}/a`);
      await watch.close();
      await cover.close();
      assert.deepEqual(
        open.losses.map((error) => errorCode(error)),
        ['ECLOSED'],
      );
      await store.write(`${dir}/a`, '1');
      assert.deepEqual([closed.paths, closed.losses], [[], []]);
    });
  });

  describe('waitFor', () => {
    it('resolves with the first value, at once or after changes', async () => {
      const { store, other, dir } = place();
      const state = () => readText(store, `${dir}/state`);
      const four = waitFor(store, [dir], async () =>
        (await state()) === '4' ? 'four' : undefined,
      );
      for (const n of ['1', '2', '3', '4']) await other.write(`${dir}/state`, n);
      assert.equal(await four, 'four');
      assert.equal(await waitFor(store, [`${dir}/state`], state), '4');
    });

    it('never evaluates twice at a time, and misses no event meanwhile', async () => {
      const { store, other, dir } = place();
      let running = 0;
      const result = await waitFor(store, [dir, `${dir}/b`], async () => {
        running++;
        assert.equal(running, 1);
        const value = await readText(store, `${dir}/n`);
        if (value === undefined) await other.write(`${dir}/n`, '1');
        running--;
        return value;
      });
      assert.equal(result, '1');
    });

    it("rejects with evaluate's error and with the signal's reason", async () => {
      const { store, dir } = place();
      const boom = new Error('boom');
      await assert.rejects(
        waitFor(store, [dir], () => Promise.reject(boom)),
        boom,
      );
      const controller = new AbortController();
      const never = async () => undefined;
      const waiting = waitFor(store, [dir], never, { signal: controller.signal });
      setTimeout(() => controller.abort(boom), 10);
      await assert.rejects(waiting, boom);
      await assert.rejects(waitFor(store, [dir], never, { signal: controller.signal }), boom);
    });
  });
}
