import assert from 'node:assert/strict';
import { setImmediate } from 'node:timers/promises';
import { devnumKey } from '../../../src/linux/devnum.js';
import { storageKey } from '../../../src/topology/extent.js';
import type { StorageNode } from '../../../src/topology/storage-node.js';
import { StorageNodes } from '../../../src/topology/storage-nodes.js';
import { StorageSnapshot } from '../../../src/topology/storage-snapshot.js';

const DEVNUM = { major: 7, minor: 3 };
const KEY = devnumKey(DEVNUM);
const FILE = { kind: 'file', device: 1n, inode: 2n } as const;

describe('The memory of devices', () => {
  /** The present content of the device. A reading takes it over when the reading begins. */
  let present: string;
  /** Ends the reading that is under way. */
  let answer: (() => void) | undefined;
  let readings: number;
  let changes: string[];
  let nodes: StorageNodes;

  const read = async (): Promise<StorageNode> => {
    const text = present;
    readings++;
    await new Promise<void>((resolve) => {
      answer = resolve;
    });
    const segments = [{ at: 0n, start: 0n, length: undefined, storage: FILE }];
    const below = { segments, unclaimed: [] };
    return { devnum: DEVNUM, below, failed: false, claims: false, text, holds: undefined };
  };
  /** Starts work that reads the device, and waits until the reading has begun. */
  const begin = async (work: () => Promise<unknown>): Promise<() => Promise<void>> => {
    const done = work();
    await setImmediate();
    return async () => {
      answer?.();
      await done;
    };
  };
  const known = (): string | undefined => nodes.get(KEY)?.text;

  beforeEach(async () => {
    [present, readings, changes] = ['old', 0, []];
    nodes = new StorageNodes(true, () => changes.push(known() ?? 'nothing'), read);
    const end = await begin(() => nodes.read(new StorageSnapshot(), DEVNUM));
    await end();
  });

  it('reads a device again that has changed while it was read', async () => {
    nodes.doubt(KEY);
    const end = await begin(() => nodes.refresh());
    present = 'new';
    nodes.doubt(KEY);
    await end();
    assert.equal(known(), 'old');
    const endAgain = await begin(() => nodes.refresh());
    await endAgain();
    assert.deepEqual([known(), readings], ['new', 3]);
  });

  it('reads a device again that has changed while it was read for the first time', async () => {
    nodes.forget(KEY);
    const end = await begin(() => nodes.read(new StorageSnapshot(), DEVNUM));
    present = 'new';
    nodes.doubt(KEY);
    await end();
    const endAgain = await begin(() => nodes.refresh());
    await endAgain();
    assert.equal(known(), 'new');
  });

  it('names a loop device over a file also while it is read again', async () => {
    nodes.doubt(KEY);
    const end = await begin(() => nodes.refresh());
    assert.deepEqual(nodes.loopsOver(storageKey(FILE)), [DEVNUM]);
    await end();
    assert.deepEqual(nodes.loopsOver(storageKey(FILE)), [DEVNUM]);
  });

  it('tells of a change in the moment in which the new reading can be seen', async () => {
    present = 'new';
    nodes.doubt(KEY);
    const end = await begin(() => nodes.refresh());
    assert.deepEqual([known(), changes], ['old', []]);
    const ending = end();
    while (known() === 'old') await Promise.resolve();
    assert.deepEqual(changes, ['new']);
    await ending;
  });

  it('reads nothing again, and tells of nothing, where nothing has changed', async () => {
    await nodes.refresh();
    assert.equal(readings, 1);
    nodes.doubt(KEY);
    const end = await begin(() => nodes.refresh());
    await end();
    await nodes.refresh();
    assert.deepEqual([readings, changes], [2, []]);
  });
});
