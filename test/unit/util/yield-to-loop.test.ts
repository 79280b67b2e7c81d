import assert from 'node:assert/strict';
import { yieldToLoop } from '../../../src/util/yield-to-loop.js';

describe('yieldToLoop', () => {
  it('gives each of many callers a round of the event loop', async () => {
    let rounds = 0;
    let over = false;
    const count = (): void => {
      rounds++;
      if (!over) setImmediate(count);
    };
    setImmediate(count);
    const seen: number[] = [];
    const callers = Array.from({ length: 10 }, async () => {
      await yieldToLoop();
      seen.push(rounds);
    });
    await Promise.all(callers);
    over = true;
    assert.equal(new Set(seen).size, 10, `rounds ${seen}`);
  });
});
