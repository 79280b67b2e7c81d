import assert from 'node:assert/strict';
import { readText } from '../../../src/xenstore/text.js';
import { waitFor } from '../../../src/xenstore/wait-for.js';
import { MemoryXenstore, MemoryXenstored } from '../../store/memory.js';

describe('waitFor', () => {
  it('gives its watches back, however it ends', async () => {
    const server = new MemoryXenstored();
    const store = new MemoryXenstore(server);
    const boom = new Error('boom');
    await waitFor(store, ['a', 'b'], async () => true);
    await assert.rejects(waitFor(store, ['a', 'b'], () => Promise.reject(boom)));
    await assert.rejects(waitFor(store, ['a', 'not.valid'], async () => true));
    const controller = new AbortController();
    const { signal } = controller;
    const aborted = waitFor(store, ['a', 'b'], async () => undefined, { signal });
    await store.read('/');
    controller.abort(boom);
    await assert.rejects(aborted, boom);
    // The server serves requests in order, so the watches of the waits are gone when this read is
    // answered.
    await store.read('/');
    assert.equal(server.watchCount, 0);
    await store.close();
  });

  it('evaluates once for all events that came during an evaluation', async () => {
    const store = new MemoryXenstore();
    let evaluations = 0;
    const evaluate = async () => {
      evaluations++;
      if (evaluations === 1) {
        for (let n = 0; n < 20; n++) await store.write('a/n', String(n));
        return undefined;
      }
      return await readText(store, 'a/n');
    };
    assert.equal(await waitFor(store, ['a'], evaluate), '19');
    assert.equal(evaluations, 2);
    await store.close();
  });

  it('ends when the store dies or its client is closed', async () => {
    const server = new MemoryXenstored();
    const [killed, closed] = [server.connect(), server.connect()];
    const waits = [killed, closed].map((store) => waitFor(store, ['a'], async () => undefined));
    const ends = Promise.all([
      assert.rejects(waits[0] ?? assert.fail(), { code: 'ECONNRESET' }),
      assert.rejects(waits[1] ?? assert.fail(), { code: 'ECLOSED' }),
    ]);
    await Promise.all([killed.read('/'), closed.read('/')]);
    await closed.close();
    server.kill();
    await ends;
  });
});
