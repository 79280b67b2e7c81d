import { nextTurn } from './next-turn.js';
import { Turns } from './turns.js';

const turns = new Turns(1000);

/**
 * Lets the event loop see to everything else before a piece of work that takes milliseconds. Each
 * caller gets a round of the loop to itself: hundreds that come at once would otherwise keep it busy
 * for seconds, and nobody would be heard meanwhile.
 */
export function breathe(): Promise<void> {
  return turns.take(() => nextTurn());
}
