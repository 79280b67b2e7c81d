import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { needs } from '../needs.js';
import { projectRoot } from '../paths.js';
import { boot } from './boot.js';
import type { InnerEvent, Job } from './job.js';
import type { Outline } from './outline.js';

type Outcome = Extract<InnerEvent, { event: 'passed' | 'failed' | 'skipped' }>;

/** Every compiled test file that is to run in User-Mode Linux, absolute. */
export function innerFiles(): string[] {
  const root = join(projectRoot, 'dist/test');
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.uml.js'))
    .sort()
    .map((name) => join(root, name));
}

/** The environment of tests inside: whether they may be skipped, and how many adds the torture makes. */
export function innerEnvironment(): Record<string, string> {
  const { XEN_BLKBACK_BEDS, XEN_BLKBACK_ADDS } = process.env;
  return {
    ...(XEN_BLKBACK_BEDS !== undefined && { XEN_BLKBACK_BEDS }),
    ...(XEN_BLKBACK_ADDS !== undefined && { XEN_BLKBACK_ADDS }),
  };
}

/**
 * Defines a suite with a test for each of those that one User-Mode Linux runs, by their own names. It
 * is booted when the first of them, or of another such suite in `together`, is due.
 */
export function defineInnerTests(job: Job, outline: Outline, together: Set<() => void>): void {
  const outcomes = new Map<string, Outcome>();
  const waiting = new Set<() => void>();
  let end: Error | undefined;
  let running: Promise<void> | undefined;

  const run = async () => {
    try {
      await using machine = boot(job);
      for await (const event of machine.events()) {
        if (event.event === 'said') console.log(event.text);
        if ('title' in event && event.event !== 'begins') outcomes.set(event.title, event);
        for (const look of waiting) look();
      }
      end = new Error('it was never run inside');
    } catch (error) {
      end = error instanceof Error ? error : new Error(String(error));
    }
    for (const look of waiting) look();
  };
  const start = () => {
    running ??= run();
  };
  together.add(start);

  /** What came of a test, or of the hook for want of which it was not run. */
  const outcomeOf = (title: string) =>
    new Promise<Outcome>((resolve, reject) => {
      const look = () => {
        const outcome = outcomes.get(title);
        if (outcome === undefined && end === undefined) return;
        waiting.delete(look);
        if (outcome) resolve(outcome);
        else reject(failedHook(outcomes, title) ?? end);
      };
      waiting.add(look);
      look();
    });

  const define = (suite: Outline): void => {
    for (const { title, fullTitle } of suite.tests) {
      it(title, async function () {
        const outcome = await outcomeOf(fullTitle);
        if (outcome.event === 'skipped') this.skip();
        if (outcome.event === 'failed') throw failureOf(outcome);
      });
    }
    for (const inner of suite.suites) describe(inner.title, () => define(inner));
  };

  describe('in User-Mode Linux', function () {
    // The machine has deadlines of its own.
    this.timeout(0);
    before(function () {
      needs(this, 'uml');
      for (const go of together) go();
    });
    after(() => running);
    define(outline);
  });
}

function failureOf(outcome: Extract<Outcome, { event: 'failed' }>): Error {
  const error = new Error(outcome.message);
  error.stack = outcome.stack;
  return error;
}

/** A hook of its suite, or of one around it, that failed: then mocha runs none of its tests. */
function failedHook(outcomes: ReadonlyMap<string, Outcome>, title: string): Error | undefined {
  for (const [name, outcome] of outcomes) {
    const suite = name.replace(/"(before|after) (all|each)" hook.*$/s, '');
    if (suite === name || !title.startsWith(suite)) continue;
    assert.equal(outcome.event, 'failed');
    return new Error(`${name} failed inside: ${outcome.event === 'failed' ? outcome.stack : ''}`);
  }
  return undefined;
}
