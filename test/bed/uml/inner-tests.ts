import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from '../paths.js';
import { type Boot, boot } from './boot.js';
import type { InnerEvent, Job } from './job.js';
import type { Outline } from './outline.js';

type Outcome = Extract<InnerEvent, { event: 'passed' | 'failed' | 'skipped' }>;

/** Returns the absolute paths of all compiled test files for User-Mode Linux. */
export function innerFiles(): string[] {
  const root = join(projectRoot, 'dist/test');
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.uml.js'))
    .sort()
    .map((name) => join(root, name));
}

/** Returns the variables that tell tests inside if they may be skipped and how long they take. */
export function innerEnvironment(): Record<string, string> {
  const { XEN_BLKBACK_BEDS, XEN_BLKBACK_EFFORT, XEN_BLKBACK_ADDS, XEN_BLKBACK_BESIDE } =
    process.env;
  return {
    ...(XEN_BLKBACK_BEDS !== undefined && { XEN_BLKBACK_BEDS }),
    ...(XEN_BLKBACK_EFFORT !== undefined && { XEN_BLKBACK_EFFORT }),
    ...(XEN_BLKBACK_ADDS !== undefined && { XEN_BLKBACK_ADDS }),
    ...(XEN_BLKBACK_BESIDE !== undefined && { XEN_BLKBACK_BESIDE }),
  };
}

/** A User-Mode Linux for some test files, and the outcomes of their tests so far. */
export class InnerTests {
  readonly #job: Job;
  readonly #background: boolean;
  readonly #outcomes = new Map<string, Outcome>();
  /** For each outcome, the text that was printed before it. */
  readonly #said = new Map<string, string>();
  readonly #waiting = new Set<() => void>();
  #machine: Boot | undefined;
  #running: Promise<void> | undefined;
  #end: Error | undefined;

  constructor(files: readonly string[], background: boolean) {
    this.#job = { files, env: innerEnvironment() };
    this.#background = background;
  }

  /** Boots the machine, unless it has been booted already. */
  start(): void {
    this.#running ??= this.#run();
  }

  /** Ends the machine at once. */
  async stop(): Promise<void> {
    this.#machine?.kill();
    await this.#running;
  }

  async #run(): Promise<void> {
    try {
      await using machine = boot(this.#job, { background: this.#background });
      this.#machine = machine;
      let said: string[] = [];
      for await (const event of machine.events()) {
        if (event.event === 'said') said.push(event.text);
        if (!('title' in event) || event.event === 'begins') continue;
        this.#outcomes.set(event.title, event);
        this.#said.set(event.title, said.join('\n'));
        said = [];
        for (const look of this.#waiting) look();
      }
      this.#end = new Error('it was never run inside');
    } catch (error) {
      this.#end = error instanceof Error ? error : new Error(String(error));
    }
    for (const look of this.#waiting) look();
  }

  /** Waits for the outcome of a test. Rejects with the reason if the test was not run. */
  async outcome(title: string): Promise<Outcome> {
    const outcome = await new Promise<Outcome>((resolve, reject) => {
      const look = () => {
        const found = this.#outcomes.get(title);
        if (found === undefined && this.#end === undefined) return;
        this.#waiting.delete(look);
        if (found) resolve(found);
        else reject(failedHook(this.#outcomes, title) ?? this.#end);
      };
      this.#waiting.add(look);
      look();
    });
    const said = this.#said.get(title);
    if (said) console.log(said);
    return outcome;
  }
}

/** Defines a test for each test that a machine runs, with the same name. Call it in a suite. */
export function defineInnerTests(tests: InnerTests, outline: Outline): void {
  for (const { title, fullTitle } of outline.tests) {
    it(title, async function () {
      const outcome = await tests.outcome(fullTitle);
      if (outcome.event === 'skipped') this.skip();
      if (outcome.event === 'failed') throw failureOf(outcome);
    });
  }
  for (const suite of outline.suites) describe(suite.title, () => defineInnerTests(tests, suite));
}

function failureOf(outcome: Extract<Outcome, { event: 'failed' }>): Error {
  const error = new Error(outcome.message);
  error.stack = outcome.stack;
  return error;
}

/** Returns the failure of a hook of the test's suites, after which mocha does not run the test. */
function failedHook(outcomes: ReadonlyMap<string, Outcome>, title: string): Error | undefined {
  for (const [name, outcome] of outcomes) {
    const suite = name.replace(/"(before|after) (all|each)" hook.*$/s, '');
    if (suite === name || !title.startsWith(suite)) continue;
    assert.equal(outcome.event, 'failed');
    return new Error(`${name} failed inside: ${outcome.event === 'failed' ? outcome.stack : ''}`);
  }
  return undefined;
}
