import assert from 'node:assert/strict';
import type { Xenstore } from '../../src/xenstore/xenstore.js';
import { type Need, needs } from '../bed/needs.js';
import { lifetimeContract } from './lifetime.contract.js';
import { nodesContract } from './nodes.contract.js';
import type { StoreBed } from './store-bed.js';
import { transactionsContract } from './transactions.contract.js';
import { watchesContract } from './watches.contract.js';

/**
 * Defines the tests by which each implementation of `Xenstore` keeps the promises of the interface.
 */
export function xenstoreContract(
  name: string,
  start: () => Promise<StoreBed>,
  ...needed: readonly Need[]
): void {
  describe(`Xenstore contract: ${name}`, () => {
    let bed: StoreBed | undefined;
    let place: { store: Xenstore; other: Xenstore; dir: string };
    let tests = 0;

    const running = () => bed ?? assert.fail('the store was not started');

    before(async function () {
      needs(this, ...needed);
      bed = await start();
    });
    after(() => bed?.[Symbol.asyncDispose]());

    beforeEach(async () => {
      tests++;
      place = {
        store: await running().connect(),
        other: await running().connect(),
        dir: `/contract-${tests}`,
      };
    });
    afterEach(async () => {
      await place.store.close();
      await place.other.close();
    });

    nodesContract(() => place);
    watchesContract(() => place);
    transactionsContract(() => place);
    lifetimeContract(running, start);
  });
}
