import assert from 'node:assert/strict';
import { withOwnership } from '../../../src/util/with-ownership.js';

function resource(dispose: () => void): AsyncDisposable {
  return { [Symbol.asyncDispose]: async () => dispose() };
}

describe('withOwnership', () => {
  it('leaves the resource to the result of the body', async () => {
    const given = resource(() => assert.fail('was released'));
    const result = await withOwnership(given, async (same) => ({ same }));
    assert.equal(result.same, given);
  });

  it('has released the resource when it passes on the error of the body', async () => {
    let released = 0;
    const error = new Error('body');
    const given = resource(() => {
      released += 1;
    });
    const failed = withOwnership(given, async () => {
      throw error;
    });
    await assert.rejects(failed, (found) => found === error && released === 1);
    assert.equal(released, 1);
  });

  it('also releases it when the body throws before it returns a promise', async () => {
    let released = 0;
    const given = resource(() => {
      released += 1;
    });
    const failed = withOwnership(given, () => {
      throw new Error('at once');
    });
    await assert.rejects(failed, /at once/);
    assert.equal(released, 1);
  });
});
