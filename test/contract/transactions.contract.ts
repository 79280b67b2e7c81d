import assert from 'node:assert/strict';
import { readText } from '../../src/xenstore/text.js';
import type { Transaction, Xenstore } from '../../src/xenstore/xenstore.js';
import { EventLog, rejectsWith } from './support.js';

/** Defines the tests of transactions. `other` is a second client of the same store. */
export function transactionsContract(
  place: () => { store: Xenstore; other: Xenstore; dir: string },
): void {
  describe('transactions', () => {
    it('are seen as a whole, and by themselves before', async () => {
      const { store, other, dir } = place();
      const result = await store.transaction(async (tx) => {
        await tx.write(`${dir}/a`, '1');
        await tx.mkdir(`${dir}/b`);
        assert.equal(await readText(tx, `${dir}/a`), '1');
        assert.deepEqual(await tx.directory(dir), ['a', 'b']);
        assert.equal(await readText(other, `${dir}/a`), undefined);
        // A real xenstored gives a node only to a domain that exists.
        await tx.setPermissions(`${dir}/b`, [{ domid: 0, access: 'r' }]);
        assert.deepEqual(await tx.getPermissions(`${dir}/b`), [{ domid: 0, access: 'r' }]);
        await tx.remove(`${dir}/missing`);
        return 'result';
      });
      assert.equal(result, 'result');
      assert.equal(await readText(other, `${dir}/a`), '1');
    });

    it('are tried again after a conflict', async () => {
      const { store, other, dir } = place();
      await store.write(`${dir}/n`, '1');
      let attempts = 0;
      await store.transaction(async (tx) => {
        attempts++;
        const n = Number(await readText(tx, `${dir}/n`));
        if (attempts === 1) await other.write(`${dir}/n`, '10');
        await tx.write(`${dir}/n`, String(n + 1));
      });
      assert.equal(attempts, 2);
      assert.equal(await readText(store, `${dir}/n`), '11');
    });

    it('meet a conflict when a sibling was made, or a missing node that was read', async () => {
      const { store, other, dir } = place();
      await store.mkdir(dir);
      let attempts = 0;
      const collide = (touch: (tx: Transaction) => Promise<unknown>, path: string) => {
        attempts = 0;
        return store.transaction(async (tx) => {
          attempts++;
          await touch(tx);
          if (attempts === 1) await other.write(path, 'x');
        });
      };
      await collide((tx) => tx.write(`${dir}/ours`, 'x'), `${dir}/theirs`);
      assert.equal(attempts, 2);
      await collide((tx) => readText(tx, `${dir}/later`), `${dir}/later`);
      assert.equal(attempts, 2);
    });

    it('give up with EAGAIN after the attempts allowed', async () => {
      const { store, other, dir } = place();
      let attempts = 0;
      const body = async (tx: Transaction) => {
        attempts++;
        await readText(tx, `${dir}/n`);
        await other.write(`${dir}/n`, String(attempts));
      };
      const error = await rejectsWith('EAGAIN', store.transaction(body, { attempts: 3 }));
      assert.equal(attempts, 3);
      assert.match(error.message, /another client changed/);
    });

    it('are aborted when the body throws, and cannot be used after their end', async () => {
      const { store, dir } = place();
      const boom = new Error('boom');
      let kept: Transaction | undefined;
      const failing = store.transaction(async (tx) => {
        kept = tx;
        await tx.write(`${dir}/a`, '1');
        throw boom;
      });
      await assert.rejects(failing, boom);
      assert.equal(await readText(store, `${dir}/a`), undefined);
      assert.ok(kept);
      await rejectsWith('EINVAL', kept.read(dir));
    });

    it('are aborted by their signal', async () => {
      const { store, dir } = place();
      const controller = new AbortController();
      const boom = new Error('boom');
      const aborted = store.transaction(
        async (tx) => {
          await tx.write(`${dir}/a`, '1');
          controller.abort(boom);
          await tx.write(`${dir}/a`, '2');
        },
        { signal: controller.signal },
      );
      await assert.rejects(aborted, boom);
      assert.equal(await readText(store, `${dir}/a`), undefined);
    });
  });

  describe('transact', () => {
    it('takes every step when all expectations hold', async () => {
      const { store, other, dir } = place();
      await store.write(`${dir}/state`, '2');
      const log = new EventLog();
      await using _watch = await other.watch(`${dir}/new`, log);
      await log.sees(`${dir}/new`);
      const outcome = await store.transact([
        { op: 'expect', path: `${dir}/state`, value: '2' },
        { op: 'expect', path: `${dir}/new`, value: undefined },
        { op: 'write', path: `${dir}/new`, value: Buffer.from([0, 1]) },
        { op: 'exists', path: `${dir}/new` },
        { op: 'remove', path: `${dir}/state` },
        { op: 'remove', path: `${dir}/missing/deep` },
      ]);
      assert.deepEqual(outcome, { committed: true });
      assert.deepEqual(await store.readMany([`${dir}/new`, `${dir}/state`]), [
        Buffer.from([0, 1]),
        undefined,
      ]);
      await log.sees(`${dir}/new`);
      assert.deepEqual(await store.transact([]), { committed: true });
    });

    it('changes nothing and says why when one does not hold', async () => {
      const { store, dir } = place();
      await store.write(`${dir}/state`, '4');
      const write = { op: 'write', path: `${dir}/new`, value: 'x' } as const;
      const cases = [
        [{ op: 'expect', path: `${dir}/state`, value: '2' }, Buffer.from('4')],
        [{ op: 'expect', path: `${dir}/state`, value: undefined }, Buffer.from('4')],
        [{ op: 'expect', path: `${dir}/missing`, value: '' }, undefined],
        [{ op: 'exists', path: `${dir}/missing` }, undefined],
      ] as const;
      for (const [step, found] of cases) {
        const outcome = await store.transact([write, step, write]);
        assert.deepEqual(outcome, { committed: false, failed: 1, found });
      }
      assert.equal(await readText(store, `${dir}/new`), undefined);
    });

    it('asks whoever makes it before it commits, and changes nothing without a yes', async () => {
      const { store, dir } = place();
      const steps = [
        { op: 'expect', path: `${dir}/n`, value: undefined },
        { op: 'write', path: `${dir}/n`, value: '1' },
      ] as const;
      const refused = await store.transact(steps, { confirm: () => false });
      assert.deepEqual(refused, { committed: false, failed: 2, found: undefined });
      assert.equal(await readText(store, `${dir}/n`), undefined);
      let asked = 0;
      const confirm = (): boolean => ++asked > 0;
      assert.deepEqual(await store.transact(steps, { confirm }), { committed: true });
      assert.equal(asked, 1);
      const late = await store.transact(steps, { confirm });
      assert.deepEqual(late, { committed: false, failed: 0, found: Buffer.from('1') });
      assert.equal(asked, 1, 'it was asked although a step did not hold');
    });

    it('loses no update among several clients', async () => {
      const { store, other, dir } = place();
      await store.write(`${dir}/n`, '0');
      const add = async (client: Xenstore) => {
        for (;;) {
          const value = await readText(client, `${dir}/n`);
          const { committed } = await client.transact([
            { op: 'expect', path: `${dir}/n`, value },
            { op: 'write', path: `${dir}/n`, value: String(Number(value) + 1) },
          ]);
          if (committed) return;
        }
      };
      await Promise.all(
        [store, other].flatMap((client) => Array.from({ length: 10 }, () => add(client))),
      );
      assert.equal(await readText(store, `${dir}/n`), '20');
    });
  });
}
