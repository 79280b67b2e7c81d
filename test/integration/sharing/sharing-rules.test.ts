import assert from 'node:assert/strict';
import type { Xenstore } from '../../../src/xenstore/xenstore.js';
import { type Bed, startBed } from '../../bed/bed.js';
import { needs } from '../../bed/needs.js';
import { openStore } from '../../bed/store.js';
import { CASES } from './cases.js';
import { ours } from './contenders.js';
import { play } from './fixture.js';

describe('Sharing', function () {
  this.timeout(90_000);
  let bed: Bed;
  let store: Xenstore;

  before(async function () {
    needs(this, 'root', 'loop', 'xenstored');
    bed = await startBed({});
    store = await openStore(bed);
  });
  after(async () => {
    await store?.close();
    await bed?.[Symbol.asyncDispose]();
  });

  for (const [index, row] of CASES.entries()) {
    it(`${row.what}: ${row.expected}`, async () => {
      const { verdict, reason, second } = await play(bed, store, ours, index, row);
      assert.equal(verdict, row.expected, reason);
      if (verdict === 'busy') assert.match(reason, new RegExp(`domain ${second} cannot have it`));
    });
  }
});
