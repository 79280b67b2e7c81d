import type {
  TransactionOutcome,
  TransactionStep,
  Xenstore,
} from '../../../src/xenstore/xenstore.js';

/**
 * Returns a store whose transactions all have this outcome, and the list of the steps that it got.
 */
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
