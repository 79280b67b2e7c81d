import assert from 'node:assert/strict';
import { decideConffile } from '../../../install/conffile.js';

describe('a configuration file', () => {
  const [A, B, C] = ['a', 'b', 'c'];
  for (const [what, present, shipped, next, step] of [
    ['is written where there has been none', undefined, undefined, A, 'write'],
    ['is replaced if nobody has changed it', A, A, B, 'write'],
    ['stays if it is the new one already', B, A, B, 'keep'],
    ['stays removed', undefined, A, B, 'keep'],
    ['stays changed, and there is nothing new to offer', C, A, A, 'keep'],
    ['stays changed, and the new one is offered', C, A, B, 'offer'],
    ['of somebody else stays, and ours is offered', C, undefined, A, 'offer'],
  ] as const) {
    it(what, () => assert.equal(decideConffile({ present, shipped, next: String(next) }), step));
  }
});
