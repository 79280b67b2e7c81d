import assert from 'node:assert/strict';
import { HotplugError } from '../../../src/hotplug/hotplug-error.js';
import { within } from '../../bed/deadline.js';
import { explainEnd } from '../../bed/demo-story.js';

describe('The end of the demo', () => {
  const advice =
    'This machine is too slow or too busy just now: run the demo again when it does less.';

  it('is a sentence where something has taken too long', async () => {
    const late = await within(1, 'an answer', () => new Promise(() => {})).catch((error) => error);
    const sentence = `The demo has been given up: not within 1 ms: an answer. ${advice}`;
    assert.equal(explainEnd(late), sentence);
    const timeout = new HotplugError('gave up within 10 s', { code: 'ETIMEDOUT' });
    assert.equal(explainEnd(timeout), `The demo has been given up: gave up within 10 s. ${advice}`);
  });

  it('tells the first of several errors', async () => {
    async function run(): Promise<void> {
      await using _bed = {
        [Symbol.asyncDispose]: () => Promise.reject(new Error('it cannot be cleared away')),
      };
      throw new Error('no loop device');
    }
    const error = await run().catch((reason: unknown) => reason);
    assert.equal(explainEnd(error), 'The demo has failed: no loop device');
  });
});
