import assert from 'node:assert/strict';
import type { WatchListener } from '../../src/xenstore/xenstore.js';
import { XenstoreError } from '../../src/xenstore/xenstore-error.js';

/** Asserts that `promise` rejects with a XenstoreError of this code, and returns it. */
export async function rejectsWith(code: string, promise: Promise<unknown>): Promise<XenstoreError> {
  const outcome = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  assert.ok(outcome instanceof XenstoreError, `a XenstoreError was expected: ${outcome}`);
  assert.equal(outcome.code, code, outcome.message);
  return outcome;
}

/** A watch listener that records its events, and that a test can wait for. */
export class EventLog implements WatchListener {
  readonly paths: string[] = [];
  readonly losses: Error[] = [];
  #wake: () => void = () => {};

  onEvent(path: string): void {
    this.paths.push(path);
    this.#wake();
  }

  onLost(error: Error): void {
    this.losses.push(error);
    this.#wake();
  }

  /**
   * Waits until `condition` holds, and checks it after each event. Only the timeout of the test
   * limits the wait.
   */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Waits until `path` has been reported, and forgets all events before that. */
  async sees(path: string): Promise<void> {
    await this.until(() => this.paths.includes(path));
    this.paths.length = 0;
  }
}
