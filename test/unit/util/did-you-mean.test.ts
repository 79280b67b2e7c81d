import assert from 'node:assert/strict';
import { didYouMean } from '../../../src/util/did-you-mean.js';

const KNOWN = ['add', 'remove', 'list', 'timeout', 'daemon'];

describe('didYouMean', () => {
  for (const [word, near] of [
    ['remoev', 'remove'],
    ['rm', undefined],
    ['timeuot', 'timeout'],
    ['lst', 'list'],
    ['deamon', 'daemon'],
    ['ad', 'add'],
    ['frobnicate', undefined],
    ['', undefined],
  ] as const) {
    it(`finds ${near ?? 'nothing'} near ${JSON.stringify(word)}`, () => {
      assert.equal(didYouMean(word, KNOWN), near === undefined ? '' : `: did you mean ${near}?`);
    });
  }
});
