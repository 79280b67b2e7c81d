import assert from 'node:assert/strict';
import { isAtLeast } from '../../../install/node.js';

describe('the version of Node.js', () => {
  for (const [version, needed, enough] of [
    ['20.19.0', '20.19', true],
    ['20.18.9', '20.19', false],
    ['22.1.0', '20.19', true],
    ['18.20.4', '20.19', false],
    ['20.100.0', '20.19', true],
  ] as const) {
    it(`${version} is ${enough ? 'enough' : 'not enough'} where ${needed} is needed`, () =>
      assert.equal(isAtLeast(version, needed), enough));
  }
});
