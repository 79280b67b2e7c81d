import assert from 'node:assert/strict';
import { readPublications } from '../../../src/vbd/list-publications.js';
import { listVbds } from '../../../src/vbd/list-vbds.js';
import { PublicationIndex } from '../../../src/vbd/publication-index.js';
import type { Xenstore } from '../../../src/xenstore/xenstore.js';
import { MemoryXenstored } from '../../store/memory.js';

const ROOT = 'backend/vbd';

/** Returns a client that counts its calls by name. */
function counting(store: Xenstore): { store: Xenstore; count: (name: string) => number } {
  const calls = new Map<string, number>();
  const counted = new Proxy(store, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]) => {
        calls.set(String(name), (calls.get(String(name)) ?? 0) + 1);
        return value.apply(target, args);
      };
    },
  });
  return { store: counted, count: (name) => calls.get(name) ?? 0 };
}

/**
 * Returns an index on a store, which a watch feeds as in the daemon, and another client of the
 * store.
 */
async function indexed() {
  const xenstored = new MemoryXenstored();
  const [own, other] = [xenstored.connect(), xenstored.connect()];
  const { store, count } = counting(own);
  const index = new PublicationIndex(store);
  await own.watch(ROOT, { onEvent: (path) => index.onWatchEvent(path), onLost: () => undefined });
  const publish = async (key: string, device: string, mode = 'w') => {
    await other.write(`${ROOT}/${key}/mode`, mode);
    await other.write(`${ROOT}/${key}/diskseq`, 'a');
    await other.write(`${ROOT}/${key}/physical-device`, device);
  };
  const list = async () =>
    (await index.list()).publications
      .map(({ vbd, physicalDevice, mode }) => `${vbd.domid}/${vbd.devid} ${physicalDevice} ${mode}`)
      .sort();
  const end = async () => {
    await own.close();
    await other.close();
  };
  return { index, other, own, count, publish, list, end };
}

describe('The index of publications', () => {
  it('knows what was there before it, and all that changes, at once', async () => {
    const { other, publish, list, end } = await indexed();
    await publish('7/51712', '7:0');
    assert.deepEqual(await list(), ['7/51712 7:0 w']);
    await publish('8/51712', '7:1');
    await other.write(`${ROOT}/7/51712/mode`, 'r');
    assert.deepEqual(await list(), ['7/51712 7:0 r', '8/51712 7:1 w']);
    await other.remove(`${ROOT}/7/51712/physical-device`);
    assert.deepEqual(await list(), ['8/51712 7:1 w']);
    await other.remove(`${ROOT}/8/51712`);
    assert.deepEqual(await list(), []);
    await publish('8/51712', '7:2');
    await publish('9/51712', '7:3');
    await other.remove(`${ROOT}/8`);
    assert.deepEqual(await list(), ['9/51712 7:3 w']);
    await other.remove(ROOT);
    assert.deepEqual(await list(), []);
    await end();
  });

  it('says the same as a reading of all, after any changes', async () => {
    const { other, own, publish, index, end } = await indexed();
    for (let round = 0; round < 200; round++) {
      const key = `${1 + Math.floor(Math.random() * 5)}/${Math.floor(Math.random() * 3)}`;
      const change = Math.random();
      if (change < 0.6) {
        await publish(key, `7:${round.toString(16)}`, change < 0.3 ? 'r' : 'w');
      } else if (change < 0.8) await other.remove(`${ROOT}/${key}/physical-device`);
      else if (change < 0.9) await other.remove(`${ROOT}/${key}`);
      else await other.remove(`${ROOT}/${key.split('/')[0]}`);
      if (Math.random() < 0.5) continue;
      const sorted = (list: readonly { vbd: { backend: string } }[]) =>
        [...list].sort((a, b) => (a.vbd.backend < b.vbd.backend ? -1 : 1));
      const [mine, all] = [await index.list(), await readPublications(own, await listVbds(own))];
      assert.deepEqual(sorted(mine.publications), sorted(all.publications));
      const paths = (vbds: readonly { backend: string }[]) =>
        vbds.map(({ backend }) => backend).sort();
      assert.deepEqual(paths(mine.probed), paths(all.probed));
    }
    await end();
  });

  it('reads nothing that has not changed', async () => {
    const { publish, list, count, end } = await indexed();
    for (let domid = 1; domid <= 40; domid++) await publish(`${domid}/51712`, '7:0');
    await list();
    const before = [count('directory'), count('readMany')];
    assert.equal((await list()).length, 40);
    assert.deepEqual([count('directory'), count('readMany')], before);
    await publish('41/51712', '7:0');
    assert.equal((await list()).length, 41);
    assert.deepEqual([count('directory'), count('readMany')], [before[0], (before[1] ?? 0) + 1]);
    await end();
  });

  it('serves many at once, each with all that was there when it asked', async () => {
    const { publish, list, end } = await indexed();
    const asked = Array.from({ length: 50 }, async (_, index) => {
      await publish(`${index + 1}/51712`, '7:0');
      assert.ok((await list()).includes(`${index + 1}/51712 7:0 w`));
    });
    await Promise.all(asked);
    await end();
  });

  it('reads all of XenStore once no event tells it any more', async () => {
    const { index, publish, list, end } = await indexed();
    index.retire();
    await publish('7/51712', '7:0');
    assert.deepEqual(await list(), ['7/51712 7:0 w']);
    await end();
  });

  it('ends with the connection', async () => {
    const { index, own, end } = await indexed();
    await own.close();
    await assert.rejects(index.list(), { code: 'ECLOSED' });
    await end();
  });
});
