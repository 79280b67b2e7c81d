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
import { MemoryXenstored } from '../../store/memory.js';

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
        const uses = await makeSource(store, new OpenVbds(sysfs));
        let answer: string[] | undefined;
        const list = async (signal: AbortSignal): Promise<string[]> => {
          const found = await uses.list({ signal });
          answer = found.map(({ devnum, open }) => `${devnum.major}:${devnum.minor} ${open}`);
          return answer;
        };
        return { store, list, answered: () => answer };
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
          message: /any device for vbd-7-51712, which it has not ended although its nodes/,
        });
        await store.close();
      });
    });
  }
});
