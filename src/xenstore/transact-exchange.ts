import { ERRNO } from '../util/errno.js';
import { Exchange, type ExchangeOptions } from './exchange.js';
import type { Operation } from './failure.js';
import { XS } from './packet.js';
import { decodeNumber } from './payload.js';
import type { TransactionOutcome, TransactOptions } from './xenstore.js';

/** A step whose path and value have been checked. */
export interface CheckedStep {
  readonly op: 'expect' | 'exists' | 'write' | 'remove';
  readonly path: string;
  readonly value: Buffer | undefined;
}

const TYPES = {
  expect: XS.read,
  exists: XS.read,
  write: XS.write,
  remove: XS.remove,
} as const;

/** The packet numbers of the start and the end. Steps have their own indices, from 0. */
const START = -1;
const END = -2;

/** The failure that keeps the transaction from being committed. */
interface Failure {
  readonly index: number;
  /** 0 for an expectation that does not hold. */
  readonly errno: number;
  readonly found: Buffer | undefined;
}

/**
 * The exchange of a whole transaction, which takes three trips: its start, all of its steps, and
 * its end. The end is sent only after the reply to every step. If the end were sent together with
 * the last step, it would commit the other steps even if one of them was refused. Later exchanges
 * wait until the end is sent, because this exchange came first.
 */
export class Transact extends Exchange<TransactionOutcome> {
  readonly #steps: readonly CheckedStep[];
  readonly #confirm: () => boolean;
  #startIsSent = false;
  #endIsSent = false;
  #sentSteps = 0;
  #answeredSteps = 0;
  /** The first step, in the order of the steps, that failed or did not hold. */
  #failure: Failure | undefined;

  constructor(
    steps: readonly CheckedStep[],
    options: ExchangeOptions<TransactionOutcome> & Pick<TransactOptions, 'confirm'>,
  ) {
    super('transact', '', options);
    this.#steps = steps;
    this.#confirm = options.confirm ?? (() => true);
  }

  override get isSent(): boolean {
    return this.#endIsSent || !(this.#startIsSent || this.isAwaited);
  }

  override advance(): boolean {
    if (!this.#startIsSent) return this.#prepareStart();
    if (this.tx === 0) return false;
    if (this.#sentSteps < this.#steps.length && this.isAwaited && !this.#failure) {
      return this.#prepareStep(this.#sentSteps++);
    }
    return this.#answeredSteps === this.#sentSteps && this.#prepareEnd();
  }

  override reply(index: number, errno: number, body: Buffer): string | undefined {
    if (index === START) return this.#started(errno, body);
    if (index === END) this.#ended(errno);
    else this.#answered(index, errno, body);
    return undefined;
  }

  #prepareStart(): boolean {
    this.#startIsSent = true;
    this.type = XS.transactionStart;
    this.index = START;
    return true;
  }

  #prepareStep(index: number): boolean {
    const step = this.#steps[index];
    if (!step) return false;
    this.type = TYPES[step.op];
    this.index = index;
    this.head = step.path;
    this.tail = step.op === 'write' ? step.value : undefined;
    return true;
  }

  #prepareEnd(): boolean {
    this.#endIsSent = true;
    this.type = XS.transactionEnd;
    this.index = END;
    if (this.isAwaited && !this.#failure && !this.#isConfirmed()) {
      this.#failure = { index: this.#steps.length, errno: 0, found: undefined };
    }
    const isCommit = this.isAwaited && !this.#failure;
    this.head = isCommit ? 'T' : 'F';
    this.tail = undefined;
    // The caller does not wait for the reply to an abort: the reply would change nothing.
    if (this.#failure) this.#report(this.#failure);
    return true;
  }

  /**
   * Asks the caller for the confirmation. An exception of the caller's function rejects the caller,
   * and must not keep the end of the transaction from being sent.
   */
  #isConfirmed(): boolean {
    try {
      return this.#confirm();
    } catch (error) {
      this.abandon(error);
      return false;
    }
  }

  #started(errno: number, body: Buffer): string | undefined {
    if (errno !== 0) {
      this.#endIsSent = true;
      this.fail('start', '', errno);
      return undefined;
    }
    const tx = decodeNumber(body);
    if (!(tx > 0)) return 'sent a transaction number that makes no sense';
    this.tx = tx;
    return undefined;
  }

  #answered(index: number, errno: number, body: Buffer): void {
    this.#answeredSteps++;
    const step = this.#steps[index];
    if (!step || index > (this.#failure?.index ?? Infinity)) return;
    if (errno !== 0 && (errno !== ERRNO.ENOENT || step.op === 'write')) {
      this.#failure = { index, errno, found: undefined };
    } else if (!holds(step, errno === 0 ? body : undefined)) {
      const found = errno === 0 ? Buffer.from(body) : undefined;
      this.#failure = { index, errno: 0, found };
    }
  }

  #ended(errno: number): void {
    if (errno !== 0) this.fail('transact', '', errno);
    else this.succeed({ committed: true });
  }

  #report({ index, errno, found }: Failure): void {
    const step = this.#steps[index];
    if (errno === 0) this.succeed({ committed: false, failed: index, found });
    else if (step) this.fail(operationOf(step), step.path, errno);
  }
}

/**
 * Tells whether a step's node is as the step expects. `found` is the value of the node, or
 * `undefined` where the node does not exist.
 */
function holds(step: CheckedStep, found: Buffer | undefined): boolean {
  if (step.op === 'exists') return found !== undefined;
  if (step.op !== 'expect') return true;
  return found === undefined || step.value === undefined
    ? found === step.value
    : found.equals(step.value);
}

/** Returns the operation that the error names as failed. */
function operationOf({ op }: CheckedStep): Operation {
  return op === 'expect' || op === 'exists' ? 'read' : op;
}
