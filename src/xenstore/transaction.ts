import { type RetryOptions, retry } from '../util/retry.js';
import { Nodes } from './nodes.js';
import { checkPath, checkValue } from './path.js';
import type { Requests } from './requests.js';
import { type CheckedStep, Transact } from './transact-exchange.js';
import type {
  Transaction,
  TransactionOptions,
  TransactionOutcome,
  TransactionStep,
  TransactOptions,
} from './xenstore.js';
import { isXenstoreError } from './xenstore-error.js';

const DEFAULT_ATTEMPTS = 16;
const FIRST_DELAY_MS = 1;
const MAX_DELAY_MS = 64;

/** One transaction, from its start to its end. */
class TransactionScope extends Nodes {
  readonly #requests: Requests;
  readonly #tx: number;

  constructor(requests: Requests, tx: number, signal: AbortSignal | undefined) {
    super(requests, tx, signal);
    this.#requests = requests;
    this.#tx = tx;
  }

  async commit(signal: AbortSignal | undefined): Promise<void> {
    this.endOperations();
    await this.#requests.send('end', '', 'T', undefined, { tx: this.#tx, signal });
  }

  /**
   * Sends the abort without a wait for the reply: xenstored serves requests in order, and a failure
   * of the abort would change nothing.
   */
  abort(): void {
    this.endOperations();
    this.#requests.sendAndForget('end', '', 'F', undefined, this.#tx);
  }
}

/** Runs `body` in a transaction, and again after a conflict. See `Xenstore.transaction`. */
export async function runTransaction<T>(
  requests: Requests,
  body: (transaction: Transaction) => Promise<T>,
  options: TransactionOptions,
): Promise<T> {
  const { signal } = options;
  return await retry(retryOptions(options), async () => {
    const tx = await requests.send('start', '', '', undefined, {
      signal,
      onAbandonedSuccess: (late) => requests.sendAndForget('end', '', 'F', undefined, late),
    });
    const scope = new TransactionScope(requests, tx, signal);
    let result: T;
    try {
      result = await body(scope);
      signal?.throwIfAborted();
    } catch (error) {
      scope.abort();
      throw error;
    }
    await scope.commit(signal);
    return result;
  });
}

/**
 * Runs a whole transaction that is known from the start, and again after a conflict. See
 * `Xenstore.transact`.
 */
export async function runSteps(
  requests: Requests,
  steps: readonly TransactionStep[],
  options: TransactOptions,
): Promise<TransactionOutcome> {
  const { signal, confirm } = options;
  const checked = steps.map(checkStep);
  return await retry(retryOptions(options), () =>
    requests.run(new Transact(checked, { signal, confirm })),
  );
}

function checkStep(step: TransactionStep): CheckedStep {
  const { op, path } = step;
  checkPath(path);
  const value = 'value' in step ? step.value : undefined;
  return { op, path, value: value === undefined ? undefined : checkValue(path, value) };
}

function retryOptions(options: TransactionOptions): RetryOptions {
  return {
    attempts: options.attempts ?? DEFAULT_ATTEMPTS,
    firstDelayMs: FIRST_DELAY_MS,
    maxDelayMs: MAX_DELAY_MS,
    retryOn: (error) => isXenstoreError(error, 'EAGAIN'),
    signal: options.signal,
  };
}
