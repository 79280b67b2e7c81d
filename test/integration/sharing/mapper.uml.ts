import assert from 'node:assert/strict';
import type { Xenstore } from '../../../src/xenstore/xenstore.js';
import { type Bed, startBed } from '../../bed/bed.js';
import { sample } from '../../bed/effort.js';
import { needs } from '../../bed/needs.js';
import { openStore } from '../../bed/store.js';
import type { SharingCase } from './case.js';
import { ours } from './contenders.js';
import { play } from './fixture.js';
import { MAPPER_CASES } from './mapper-cases.js';
import { STACKED_CASES } from './stacked-cases.js';

function playAll(this: Mocha.Suite, cases: readonly SharingCase[]): void {
  this.timeout(90_000);
  let bed: Bed;
  let store: Xenstore;

  before(async function () {
    needs(this, 'root', 'loop', 'xenstored', 'mapper');
    bed = await startBed({});
    store = await openStore(bed);
  });
  after(async () => {
    await store?.close();
    await bed?.[Symbol.asyncDispose]();
  });

  for (const [index, row] of cases.entries()) {
    it(`${row.what}: ${row.expected}`, async () => {
      const { verdict, reason } = await play(bed, store, ours, index, row);
      assert.equal(verdict, row.expected, reason);
      if (row.says) assert.match(reason, row.says);
    });
  }
}

describe('Sharing of mapper devices', function () {
  playAll.call(this, sample(MAPPER_CASES, 2));
});

describe('Sharing of what people build under their volumes', function () {
  // Each of these cases takes two seconds there.
  playAll.call(this, sample(STACKED_CASES, 4));
});
