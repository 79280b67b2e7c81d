import assert from 'node:assert/strict';
import type { Run } from '../../bed/script.js';

/** The time limit that a test gives to the script. */
export const TIMEOUT_MS = 3000;
/** The same limit as the script reads it from its environment. */
export const TIMEOUT_ENV = { XEN_BLKBACK_TIMEOUT: String(TIMEOUT_MS / 1000) };
/** The time that Node takes to start on a machine that does other things too. */
export const START_UP_MS = 2000;

/** Asserts that a script has failed with status 1 and one sentence, soon after its time limit. */
export function assertFailedInTime({ status, stderr, milliseconds }: Run): void {
  assert.equal(status, 1);
  assert.match(stderr, /^xen-blkback: [^\n]*backend\/vbd\/7\/51712[^\n]+\n$/);
  assert.ok(milliseconds < TIMEOUT_MS + START_UP_MS, `${milliseconds} ms`);
}
