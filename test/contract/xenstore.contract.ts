import type { Xenstore } from '../../src/xenstore/xenstore.js';
import { lifetimeContract } from './lifetime.contract.js';
import { nodesContract } from './nodes.contract.js';
import type { StoreBed } from './store-bed.js';
import { transactionsContract } from './transactions.contract.js';
import { watchesContract } from './watches.contract.js';

/** Holds one implementation of `Xenstore` to the promises of the interface. */
export function xenstoreContract(name: string, start: () => Promise<StoreBed>): void {
  describe(`Xenstore contract: ${name}`, () => {
    let bed: StoreBed;
    let place: { store: Xenstore; other: Xenstore; dir: string };
    let tests = 0;

    before(async () => {
      bed = await start();
    });
    after(() => bed[Symbol.asyncDispose]());

    beforeEach(async () => {
      tests++;
      place = {
        store: await bed.connect(),
        other: await bed.connect(),
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
    lifetimeContract(() => bed, start);
  });
}
