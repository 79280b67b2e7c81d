import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { HotplugError } from '../../../src/hotplug/hotplug-error.js';
import { pause } from '../../../src/util/retry.js';
import { PROBED_NODE } from '../../../src/vbd/list-publications.js';
import { OpenVbds } from '../../../src/vbd/open-vbds.js';
import { PublicationIndex } from '../../../src/vbd/publication-index.js';
import type { VbdPath } from '../../../src/vbd/vbd-path.js';
import { indexedVbdUses, readVbdUses, type VbdUses } from '../../../src/vbd/vbd-uses.js';
import type { Xenstore } from '../../../src/xenstore/xenstore.js';
import { XenstoreError } from '../../../src/xenstore/xenstore-error.js';
import { MemoryXenstored } from '../../store/memory.js';
import { withReads } from '../../store/with-reads.js';

const SOURCES: readonly (readonly [
  string,
  (store: Xenstore, vbds: OpenVbds) => Promise<VbdUses>,
])[] = [
  ['read each time', async (store, vbds) => readVbdUses(store, vbds)],
  [
    'of an index',
    async (store, vbds) => {
      const index = new PublicationIndex(store);
      const listener = { onEvent: (path: string) => index.onWatchEvent(path), onLost: () => {} };
      await store.watch('backend/vbd', listener);
      return indexedVbdUses(store, index, vbds);
    },
  ],
];

describe('The list of what vbds have', () => {
  let sysfs: string;
  beforeEach(() => {
    sysfs = mkdtempSync('/dev/shm/xen-sysfs-');
    mkdirSync(join(vbd(), 'driver'), { recursive: true });
  });
  afterEach(() => rmSync(sysfs, { recursive: true }));
  const vbd = (): string => join(sysfs, 'bus/xen-backend/devices/vbd-7-51712');

  for (const [title, makeSource] of SOURCES) {
    describe(title, () => {
      const begin = async () => {
        const store = await new MemoryXenstored().connect();
        let answer: string[] | undefined;
        const makeList = async (from: Xenstore) => {
          const uses = await makeSource(from, new OpenVbds(sysfs));
          return async (signal: AbortSignal): Promise<string[]> => {
            const found = await uses.list({ signal });
            answer = found.map(({ devnum, open }) => `${devnum.major}:${devnum.minor} ${open}`);
            return answer;
          };
        };
        return { store, makeList, list: await makeList(store), answered: () => answer };
      };

      it('waits for a vbd whose nodes are gone, which then has a device after all', async () => {
        const { store, list, answered } = await begin();
        const listed = list(AbortSignal.timeout(5000));
        await pause(50);
        assert.equal(answered(), undefined);
        writeFileSync(join(vbd(), 'mode'), 'w\n');
        writeFileSync(join(vbd(), 'physical_device'), '8:0\n');
        assert.deepEqual(await listed, ['8:0 true']);
        await store.close();
      });

      it('waits for a vbd whose nodes are gone, which then ends', async () => {
        const { store, list, answered } = await begin();
        const listed = list(AbortSignal.timeout(5000));
        await pause(50);
        assert.equal(answered(), undefined);
        rmSync(vbd(), { recursive: true });
        assert.deepEqual(await listed, []);
        await store.close();
      });

      it('waits for no vbd that blkback has taken up, also one that was made just now', async () => {
        const { store, list } = await begin();
        await store.write(`backend/vbd/7/51712/${PROBED_NODE}`, '256');
        assert.deepEqual(await list(AbortSignal.timeout(5000)), []);
        mkdirSync(join(sysfs, 'bus/xen-backend/devices/vbd-7-51728/driver'), { recursive: true });
        await store.write(`backend/vbd/7/51728/${PROBED_NODE}`, '256');
        assert.deepEqual(await list(AbortSignal.timeout(5000)), []);
        await store.close();
      });

      it('waits for a vbd whose nodes were made anew, until blkback takes the new vbd up', async () => {
        const { store, list, answered } = await begin();
        await store.write('backend/vbd/7/51712/mode', 'w');
        const listed = list(AbortSignal.timeout(5000));
        await pause(50);
        assert.equal(answered(), undefined);
        await store.write(`backend/vbd/7/51712/${PROBED_NODE}`, '256');
        assert.deepEqual(await listed, []);
        await store.close();
      });

      it('does not wait for a vbd of which the caller knows what it may get', async () => {
        const store = await new MemoryXenstored().connect();
        const uses = await makeSource(store, new OpenVbds(sysfs));
        const isExplained = ({ sysfsName }: VbdPath): boolean => sysfsName === 'vbd-7-51712';
        const signal = AbortSignal.timeout(5000);
        assert.deepEqual(await uses.list({ signal, isExplained }), []);
        await store.close();
      });

      it('does not wait for a vbd that no driver has', async () => {
        const { store, list } = await begin();
        rmSync(join(vbd(), 'driver'), { recursive: true });
        assert.deepEqual(await list(AbortSignal.timeout(5000)), []);
        await store.close();
      });

      it('waits for no vbd in state 2, also where a quota kept blkback from making its nodes', async () => {
        const { store, list } = await begin();
        await store.write('backend/vbd/7/51712/state', '2');
        assert.deepEqual(await list(AbortSignal.timeout(5000)), []);
        await store.close();
      });

      it('waits a moment after the end of a vbd, also if it is there again by then', async () => {
        const { store, list } = await begin();
        const listed = list(AbortSignal.timeout(5000)).then(() => performance.now());
        await pause(50);
        rmSync(vbd(), { recursive: true });
        mkdirSync(join(vbd(), 'driver'), { recursive: true });
        await store.write(`backend/vbd/7/51712/${PROBED_NODE}`, '256');
        const ended = performance.now();
        const took = (await listed) - ended;
        assert.ok(took >= 95, `${took} ms`);
        await store.close();
      });

      it('waits a moment after the end of a vbd also if it ends while its nodes are read', async () => {
        const { store, makeList } = await begin();
        let ended: number | undefined;
        let reads = 0;
        const ending = withReads(store, async (read) => {
          const values = await read();
          // The first read is that of the look. The second one is about the vbd that was found.
          if (++reads === 2) {
            rmSync(vbd(), { recursive: true });
            ended = performance.now();
          }
          return values;
        });
        await (await makeList(ending))(AbortSignal.timeout(5000));
        const took = performance.now() - (ended ?? assert.fail());
        assert.ok(took >= 95, `${took} ms`);
        await store.close();
      });

      it('waits a moment also if the vbd is there again, and taken up, while its nodes are read', async () => {
        const { store, makeList } = await begin();
        let ended: number | undefined;
        let reads = 0;
        const ending = withReads(store, async (read) => {
          if (++reads === 2) {
            rmSync(vbd(), { recursive: true });
            mkdirSync(join(vbd(), 'driver'), { recursive: true });
            await store.write(`backend/vbd/7/51712/${PROBED_NODE}`, '256');
            ended = performance.now();
          }
          return await read();
        });
        await (await makeList(ending))(AbortSignal.timeout(5000));
        const took = performance.now() - (ended ?? assert.fail());
        assert.ok(took >= 95, `${took} ms`);
        await store.close();
      });

      it('says what the store says, where that is what takes too long', async () => {
        const { store, makeList } = await begin();
        const late = new XenstoreError('xenstored did not answer', { code: 'ETIMEDOUT' });
        let answers = 4;
        const silent = withReads(store, async (read) => {
          if (answers-- <= 0) throw late;
          return await read();
        });
        await assert.rejects((await makeList(silent))(AbortSignal.timeout(5000)), late);
        await store.close();
      });

      it('does not wait for a vbd that has come since', async () => {
        const { store, list } = await begin();
        const listed = list(AbortSignal.timeout(5000));
        await pause(50);
        mkdirSync(join(sysfs, 'bus/xen-backend/devices/vbd-7-51728/driver'), { recursive: true });
        rmSync(vbd(), { recursive: true });
        assert.deepEqual(await listed, []);
        await store.close();
      });

      it('says for which vbd it has waited in vain', async () => {
        const { store, list } = await begin();
        const timeUp = new AbortController();
        const listed = list(timeUp.signal);
        listed.catch(() => undefined);
        await pause(50);
        timeUp.abort(new HotplugError('time is up', { code: 'ETIMEDOUT' }));
        await assert.rejects(listed, {
          code: 'ETIMEDOUT',
          message:
            /any device for vbd-7-51712: it has not ended this vbd.*xl block-detach --force 7 51712/,
        });
        await store.close();
      });
    });
  }

  for (const others of [2, 9]) {
    it(`waits for a vbd whose nodes go while they are read, beside ${others} others`, async () => {
      const store = await new MemoryXenstored().connect();
      for (let number = 0; number <= others; number++) {
        const devid = 51712 + 16 * number;
        const path = join(sysfs, `bus/xen-backend/devices/vbd-7-${devid}/driver`);
        mkdirSync(path, { recursive: true });
        await store.write(`backend/vbd/7/${devid}/${PROBED_NODE}`, '256');
      }
      await store.write('backend/vbd/7/51712/physical-device', '7:5');
      let isFirst = true;
      const watched = withReads(store, async (read) => {
        const values = await read();
        if (isFirst) await store.remove('backend/vbd/7/51712');
        isFirst = false;
        return values;
      });
      const uses = readVbdUses(watched, new OpenVbds(sysfs));
      // With few vbds one trip has read both nodes, and the device is known.
      const listed = uses.list({ signal: AbortSignal.timeout(300) });
      if (others < 8) assert.deepEqual((await listed)[0]?.devnum, { major: 7, minor: 5 });
      else await assert.rejects(listed);
      await store.close();
    });
  }
});
