import assert from 'node:assert/strict';
import { mayShare, type Sharing } from '../../../src/sharing/sharing-rules.js';
import { positionOf } from '../../../src/sharing/storage-locks.js';
import type { Access } from '../../../src/topology/local-use.js';

const R: Access = 'read-only';
const W: Access = 'read-write';

describe('mayShare', () => {
  const table: readonly (readonly [Sharing, Access, Access, boolean])[] = [
    ['deny', R, R, true],
    ['deny', R, W, false],
    ['deny', W, R, false],
    ['deny', W, W, false],
    ['read-only', R, R, true],
    ['read-only', R, W, true],
    ['read-only', W, R, true],
    ['read-only', W, W, false],
    ['allow', R, R, true],
    ['allow', R, W, true],
    ['allow', W, R, true],
    ['allow', W, W, true],
  ];
  for (const [sharing, wanted, present, may] of table) {
    it(`with ${sharing}: ${wanted} beside ${present} ${may ? 'may' : 'may not'}`, () => {
      assert.equal(mayShare(sharing, wanted, present), may);
    });
  }
});

describe('The lock of a base', () => {
  it('is where every process looks for it, in a range that off_t has', () => {
    // The expected values are a quarter of the FNV-1a hashes of the empty text and of "a".
    assert.equal(positionOf(''), 0xcbf29ce484222325n >> 2n);
    assert.equal(positionOf('a'), 0xaf63dc4c8601ec8cn >> 2n);
    const keys = Array.from({ length: 5000 }, (_, index) => `file 64768:${index}`);
    const positions = new Set(keys.map(positionOf));
    assert.equal(positions.size, keys.length);
    for (const position of positions) assert.ok(position >= 0n && position < 1n << 62n);
  });
});
