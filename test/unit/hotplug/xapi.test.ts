import assert from 'node:assert/strict';
import { findXapiNode, withXapiReport } from '../../../src/hotplug/xapi.js';
import { vbdPath } from '../../../src/vbd/vbd-path.js';
import type { Xenstore } from '../../../src/xenstore/xenstore.js';
import { XenstoreError } from '../../../src/xenstore/xenstore-error.js';
import { MemoryXenstore } from '../../store/memory.js';

const UUID = '8a0c6e27-7f64-4bb3-9c3c-6f4e1cbb2d11';
const VBD = vbdPath(7, 51712);
/** Expects that xapi is told, or that there is nothing to tell. */
const TOLD = { timeoutMs: 5000, onUntold: (sentence: string) => assert.fail(sentence) };

describe('the node of a disk for xapi', () => {
  const guest = async (nodes: Readonly<Record<string, string>>): Promise<Xenstore> => {
    const store = new MemoryXenstore();
    for (const [path, value] of Object.entries(nodes)) await store.write(path, value);
    return store;
  };
  const made = {
    '/local/domain/7/vm': '/vm/some',
    '/vm/some/uuid': UUID,
    [`/xapi/${UUID}/private`]: '',
  };

  it('is named by the machine that xapi has made', async () => {
    const store = await guest(made);
    const node = `/xapi/${UUID}/hotplug/7/vbd/51712/hotplug`;
    assert.equal(await findXapiNode(store, VBD, {}), node);
    const done = async (): Promise<string> => {
      await assert.rejects(store.read(node), { code: 'ENOENT' });
      return 'done';
    };
    assert.equal(await withXapiReport(store, VBD, true, TOLD, done), 'done');
    assert.equal((await store.read(node)).toString(), 'online');
    await withXapiReport(store, VBD, false, TOLD, async () => {});
    await assert.rejects(store.read(node), { code: 'ENOENT' });
  });

  it('is told nothing where the work fails', async () => {
    const store = await guest(made);
    const node = `/xapi/${UUID}/hotplug/7/vbd/51712/hotplug`;
    const failing = (): Promise<void> => Promise.reject(new Error('no disk'));
    await assert.rejects(withXapiReport(store, VBD, true, TOLD, failing), { message: 'no disk' });
    await assert.rejects(store.read(node), { code: 'ENOENT' });
  });

  for (const [what, fail] of [
    ['the look-up', 'read'],
    ['the write', 'transact'],
  ] as const) {
    it(`is no reason to fail an add that has served a disk, where ${what} fails`, async () => {
      const store = await guest(made);
      const refuse = () => Promise.reject(new XenstoreError('no reply', { code: 'ETIMEDOUT' }));
      Object.assign(store, { [fail]: refuse });
      const told: string[] = [];
      const options = { ...TOLD, onUntold: (sentence: string) => told.push(sentence) };
      assert.equal(await withXapiReport(store, VBD, true, options, async () => 'done'), 'done');
      assert.deepEqual(told, [
        'backend/vbd/7/51712 is attached, but xapi could not be told: no reply',
      ]);
    });

    it(`has no longer than the work had, where ${what} gets no answer`, async () => {
      const store = await guest(made);
      const hang = (...words: unknown[]) =>
        new Promise((_, reject) => {
          const { signal } = words.at(-1) as { signal: AbortSignal };
          signal.addEventListener('abort', () => reject(signal.reason));
        });
      Object.assign(store, { [fail]: hang });
      const told: string[] = [];
      const limit = { timeoutMs: 50, onUntold: (sentence: string) => told.push(sentence) };
      const keepAlive = setTimeout(() => undefined, 2000);
      await withXapiReport(store, VBD, true, limit, async () => 'done');
      const late = 'xenstored has not answered within the 0.05 s that there are';
      assert.deepEqual(told, [
        `backend/vbd/7/51712 is attached, but xapi could not be told: ${late}`,
      ]);
      const removal = withXapiReport(store, VBD, false, limit, async () => 'done');
      await assert.rejects(removal, { code: 'ETIMEDOUT', message: late });
      clearTimeout(keepAlive);
    });

    it(`fails a remove, after which xapi waits for its node to go, where ${what} fails`, async () => {
      const store = await guest(made);
      const refuse = () => Promise.reject(new XenstoreError('no reply', { code: 'ETIMEDOUT' }));
      Object.assign(store, { [fail]: refuse });
      const work = withXapiReport(store, VBD, false, TOLD, async () => 'done');
      await assert.rejects(work, { code: 'ETIMEDOUT' });
    });
  }

  for (const [what, change] of [
    ['another machine', { [`/xapi/${UUID}/private`]: undefined, '/xapi/other/private': '' }],
    ['a machine that is none', { '/local/domain/7/vm': '/vm/../xapi' }],
    ['a number that is none', { '/vm/some/uuid': '../..' }],
    ['no machine', { '/local/domain/7/vm': undefined }],
  ] as const) {
    it(`is not there for ${what}`, async () => {
      const nodes = Object.entries({ ...made, ...change }).flatMap(([path, value]) =>
        value === undefined ? [] : [[path, value]],
      );
      const store = await guest(Object.fromEntries(nodes));
      assert.equal(await findXapiNode(store, VBD, {}), undefined);
    });
  }

  it('is not there for a driver domain, which may not read of others', async () => {
    const store = new MemoryXenstore();
    const asked: string[] = [];
    store.read = (path) => {
      asked.push(path);
      return Promise.reject(new XenstoreError(`${path} may not be read`, { code: 'EACCES' }));
    };
    assert.equal(await findXapiNode(store, VBD, {}), undefined);
    assert.deepEqual(asked, ['/xapi'], 'one trip, everywhere but at xapi');
  });
});
