import assert from 'node:assert/strict';
import { readText } from '../../src/xenstore/text.js';
import type { Xenstore } from '../../src/xenstore/xenstore.js';
import { rejectsWith } from './support.js';

/**
 * Defines the tests of single nodes. `place` gives the client and a directory that no other test
 * uses.
 */
export function nodesContract(place: () => { store: Xenstore; dir: string }): void {
  describe('nodes', () => {
    it('reads back what was written, making parents', async () => {
      const { store, dir } = place();
      await store.write(`${dir}/a/b/c`, 'größer');
      assert.equal(await readText(store, `${dir}/a/b/c`), 'größer');
      assert.deepEqual(await store.read(`${dir}/a/b`), Buffer.alloc(0));
    });

    it('keeps empty values apart from missing nodes', async () => {
      const { store, dir } = place();
      await store.write(`${dir}/empty`, '');
      assert.equal((await store.read(`${dir}/empty`)).length, 0);
      const error = await rejectsWith('ENOENT', store.read(`${dir}/missing`));
      assert.equal(error.message, `XenStore read of ${dir}/missing failed: no such node`);
      assert.equal(error.path, `${dir}/missing`);
      assert.equal(error.syscall, 'XS_READ');
      assert.equal(error.errno, 2);
      assert.equal(await readText(store, `${dir}/missing`), undefined);
    });

    it('keeps every byte of a value', async () => {
      const { store, dir } = place();
      const bytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
      await store.write(`${dir}/bytes`, bytes);
      assert.deepEqual(await store.read(`${dir}/bytes`), bytes);
      await store.write(`${dir}/bytes`, new Uint8Array(bytes).subarray(10, 12));
      assert.deepEqual(await store.read(`${dir}/bytes`), Buffer.from([10, 11]));
    });

    it('takes the longest value that fits, and refuses one byte more', async () => {
      const { store, dir } = place();
      const path = `${dir}/long`;
      const longest = 4096 - path.length - 1;
      await store.write(path, Buffer.alloc(longest, 'x'));
      assert.equal((await store.read(path)).length, longest);
      await rejectsWith('E2BIG', store.write(path, Buffer.alloc(longest + 1)));
      assert.equal((await store.read(path)).length, longest);
    });

    it('reaches the same node by relative and absolute path', async () => {
      const { store, dir } = place();
      const relative = dir.slice(1);
      await store.write(relative, 'here');
      assert.equal(await readText(store, `/local/domain/0/${relative}`), 'here');
    });

    it('refuses bad paths before anything is sent', async () => {
      const { store, dir } = place();
      for (const path of ['', 'a.b', `${dir}/`, `${dir}//x`, 'a b', 'ä', '@releaseDomain']) {
        await rejectsWith('EINVAL', store.read(path));
        await rejectsWith('EINVAL', store.write(path, 'x'));
        await rejectsWith('EINVAL', store.transact([{ op: 'remove', path }]));
      }
      await rejectsWith('E2BIG', store.read('x'.repeat(2049)));
    });

    it('takes the longest paths that xenstored takes', async () => {
      const { store } = place();
      await rejectsWith('ENOENT', store.read('x'.repeat(2048)));
      await rejectsWith('ENOENT', store.read(`/local/domain/12/${'x'.repeat(2048)}`));
      await rejectsWith('ENOENT', store.read(`/${'x'.repeat(2047)}`));
    });

    it('serves requests in order', async () => {
      const { store, dir } = place();
      const done: number[] = [];
      const writes = Array.from({ length: 50 }, (_, n) =>
        store.write(`${dir}/n`, String(n)).then(() => done.push(n)),
      );
      const last = readText(store, `${dir}/n`);
      await Promise.all(writes);
      assert.equal(await last, '49');
      assert.deepEqual(
        done,
        [...done].sort((a, b) => a - b),
      );
    });

    it('reads many in one trip', async () => {
      const { store, dir } = place();
      await store.write(`${dir}/one`, '1');
      await store.write(`${dir}/two`, '');
      const values = await store.readMany([`${dir}/one`, `${dir}/missing`, `${dir}/two`]);
      assert.deepEqual(values, [Buffer.from('1'), undefined, Buffer.alloc(0)]);
      assert.deepEqual(await store.readMany([]), []);
      await rejectsWith('EINVAL', store.readMany([`${dir}/one`, 'b.d']));
    });

    it('makes directories, leaving existing nodes alone', async () => {
      const { store, dir } = place();
      await store.mkdir(`${dir}/made/deep`);
      assert.deepEqual(await store.read(`${dir}/made/deep`), Buffer.alloc(0));
      await store.write(`${dir}/made`, 'value');
      await store.mkdir(`${dir}/made`);
      assert.equal(await readText(store, `${dir}/made`), 'value');
    });

    it('lists children, also more than one answer can hold', async () => {
      const { store, dir } = place();
      await store.mkdir(`${dir}/none`);
      assert.deepEqual(await store.directory(`${dir}/none`), []);
      const names = Array.from({ length: 300 }, (_, n) => `child-with-a-long-name-${n}`);
      await Promise.all(names.map((name) => store.mkdir(`${dir}/many/${name}`)));
      assert.deepEqual((await store.directory(`${dir}/many`)).sort(), [...names].sort());
      await rejectsWith('ENOENT', store.directory(`${dir}/missing`));
    });

    it('removes a node with everything below, and takes a missing one', async () => {
      const { store, dir } = place();
      await store.write(`${dir}/a/b/c`, 'x');
      await store.remove(`${dir}/a`);
      assert.deepEqual(await store.readMany([`${dir}/a`, `${dir}/a/b/c`]), [undefined, undefined]);
      await store.remove(`${dir}/a`);
      await store.remove(`${dir}/a/b/c`);
      await rejectsWith('EINVAL', store.remove('/'));
    });

    it('gets and sets permissions, which new children inherit', async () => {
      const { store, dir } = place();
      await store.mkdir(dir);
      const list = [
        { domid: 0, access: 'n' },
        { domid: 7, access: 'b' },
        { domid: 8, access: 'r' },
        { domid: 9, access: 'w' },
      ] as const;
      await store.setPermissions(dir, list);
      assert.deepEqual(await store.getPermissions(dir), list);
      await store.mkdir(`${dir}/child`);
      assert.deepEqual(await store.getPermissions(`${dir}/child`), list);
      await rejectsWith('ENOENT', store.getPermissions(`${dir}/missing`));
      await rejectsWith('ENOENT', store.setPermissions(`${dir}/missing`, list));
      await rejectsWith('EINVAL', store.setPermissions(dir, []));
      await rejectsWith('EINVAL', store.setPermissions(dir, [{ domid: -1, access: 'r' }]));
    });
  });
}
