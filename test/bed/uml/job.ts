import { join } from 'node:path';

/** The job of a User-Mode Linux, which reads it from the directory shared with the host. */
export interface Job {
  /** The absolute paths of compiled test files. */
  readonly files: readonly string[];
  /** Limits the tests to those whose full title matches. */
  readonly grep?: string;
  /** Prints the progress on the console, too. */
  readonly loud?: boolean;
  /** Variables that are added to the environment of the tests. */
  readonly env: Readonly<Record<string, string>>;
}

/** An event inside. The file of events has one JSON object per line. */
export type InnerEvent =
  /** A test or hook begins. It reports its own timeout after `timeoutMs` (0: never). */
  | { readonly event: 'begins'; readonly title: string; readonly timeoutMs: number }
  | { readonly event: 'passed'; readonly title: string; readonly milliseconds: number }
  | {
      readonly event: 'failed';
      readonly title: string;
      readonly milliseconds: number;
      readonly message: string;
      readonly stack: string;
    }
  | { readonly event: 'skipped'; readonly title: string }
  /** A text that was printed with console.log. */
  | { readonly event: 'said'; readonly text: string }
  | { readonly event: 'ended' };

export const jobFile = (directory: string): string => join(directory, 'job.json');
export const eventsFile = (directory: string): string => join(directory, 'events');

/** Returns the name by which both sides know a test. */
export function titleOf(test: { titlePath(): string[] }): string {
  return test.titlePath().join(' ');
}
