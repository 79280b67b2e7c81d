import assert from 'node:assert/strict';
import { noteHungCall } from '../../../src/linux/hung-calls.js';
import { askLoop, UnansweredLoop } from '../../../src/topology/ask-loop.js';
import { monotonicMs } from '../../../src/util/clock.js';

/** The number of hung calls after which no more calls are made (src/linux/hung-calls.ts). */
const MOST = 512;

describe('Loop devices that cannot be asked because too many calls hang', () => {
  for (const count of [1, 2]) {
    it(`are unanswered, be there ${count} of them`, async () => {
      const call = { syscall: 'open', object: '/mnt/a', place: undefined, since: monotonicMs() };
      const hung = Array.from({ length: MOST }, () => noteHungCall(call, undefined));
      try {
        const questions = Array.from({ length: count }, (_, number) => askLoop(number));
        const answers = await Promise.allSettled(questions);
        for (const [number, answer] of answers.entries()) {
          assert.ok(answer.status === 'rejected');
          assert.ok(answer.reason instanceof UnansweredLoop, String(answer.reason));
          assert.equal(answer.reason.number, number);
          assert.match(answer.reason.message, /too much of this machine does not answer/);
        }
      } finally {
        for (const one of hung) one.end();
      }
    });
  }
});
