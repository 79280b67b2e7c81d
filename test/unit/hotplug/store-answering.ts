import type {
  TransactionOutcome,
  TransactionStep,
  Xenstore,
} from '../../../src/xenstore/xenstore.js';

/** A store whose transactions all end as told; `steps` is what they were made of. */
export function storeAnswering(outcome: TransactionOutcome): {
  store: Xenstore;
  steps: TransactionStep[];
} {
  const steps: TransactionStep[] = [];
  const transact: Xenstore['transact'] = async (asked) => {
    steps.push(...asked);
    return outcome;
  };
  return { store: { transact } as Xenstore, steps };
}
