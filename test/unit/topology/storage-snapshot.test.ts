import assert from 'node:assert/strict';
import { StorageSnapshot } from '../../../src/topology/storage-snapshot.js';
import { findUnexplainedOpener } from '../../../src/topology/unexplained-openers.js';

describe('StorageSnapshot', () => {
  const late = new Error('the time is up');
  const devnum = { major: 253, minor: 1_000_000 };

  it('waits for device-mapper no longer than its signal says', async () => {
    const snapshot = new StorageSnapshot(AbortSignal.abort(late));
    await assert.rejects(snapshot.mapper(devnum), late);
    await assert.rejects(findUnexplainedOpener(snapshot, devnum, []), late);
  });
});
