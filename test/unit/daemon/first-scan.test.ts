import assert from 'node:assert/strict';
import { FirstScan } from '../../../src/daemon/first-scan.js';
import { pause } from '../../../src/util/retry.js';

describe('the start of the daemon', () => {
  it('is waited for until it is done, and then no more', async () => {
    const start = new FirstScan();
    let waited = false;
    const waiting = start.wait(10_000).then(() => {
      waited = true;
    });
    await pause(10);
    assert.equal(waited, false);
    start.done();
    await waiting;
    await start.wait(10_000);
  });

  it('is not waited for longer than one has time', () => new FirstScan().wait(10));
});
