import assert from 'node:assert/strict';
import { FairQueue } from '../../../src/util/fair-queue.js';
import { pause } from '../../../src/util/retry.js';

describe('turns', () => {
  it('come one after another, in order, whatever becomes of those before', async () => {
    const turns = new FairQueue(1000);
    const log: string[] = [];
    const take = (name: string, error?: Error): Promise<string> =>
      turns.run(async () => {
        log.push(`${name} begins`);
        await pause(2);
        log.push(`${name} ends`);
        if (error) throw error;
        return name;
      });
    const boom = new Error('boom');
    const results = await Promise.allSettled([take('a'), take('b', boom), take('c')]);
    assert.deepEqual(
      results.map((result) => (result.status === 'fulfilled' ? result.value : result.reason)),
      ['a', boom, 'c'],
    );
    assert.deepEqual(log, ['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends']);
  });

  it('are not held up for ever by one that hangs', async () => {
    const turns = new FairQueue(20);
    let finish = (_name: string) => {};
    const hanging = turns.run(() => new Promise<string>((resolve) => (finish = resolve)));
    assert.equal(await turns.run(async () => 'next'), 'next');
    finish('late');
    assert.equal(await hanging, 'late');
  });

  it('fail with a body that throws at once, and the turns behind it go on', async () => {
    const turns = new FairQueue(1000);
    const thrown = turns.run(() => {
      throw new Error('at once');
    });
    const next = turns.run(async () => 'next');
    await assert.rejects(thrown, /at once/);
    assert.equal(await next, 'next');
  });
});
