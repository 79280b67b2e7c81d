import { FairQueue } from './fair-queue.js';
import { nextTurn } from './next-turn.js';

const turns = new FairQueue(1000);

/**
 * Lets the event loop handle everything else before a piece of work that takes milliseconds. Each
 * caller gets a round of the loop to itself. Without this, hundreds of callers at once would keep
 * the loop busy for seconds, and no other request would be heard meanwhile.
 */
export function yieldToLoop(): Promise<void> {
  return turns.run(() => nextTurn());
}
