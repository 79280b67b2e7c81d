import assert from 'node:assert/strict';
import { pause } from '../../../src/util/retry.js';
import { Turns } from '../../../src/util/turns.js';

describe('turns', () => {
  it('come one after another, in order, whatever becomes of those before', async () => {
    const turns = new Turns(1000);
    const log: string[] = [];
    const take = (name: string, error?: Error): Promise<string> =>
      turns.take(async () => {
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
    const turns = new Turns(20);
    let finish = (_name: string) => {};
    const hanging = turns.take(() => new Promise<string>((resolve) => (finish = resolve)));
    assert.equal(await turns.take(async () => 'next'), 'next');
    finish('late');
    assert.equal(await hanging, 'late');
  });

  it('fail with a body that throws at once, and the turns behind it go on', async () => {
    const turns = new Turns(1000);
    const thrown = turns.take(() => {
      throw new Error('at once');
    });
    const next = turns.take(async () => 'next');
    await assert.rejects(thrown, /at once/);
    assert.equal(await next, 'next');
  });
});
