import { join } from 'node:path';

/** What a User-Mode Linux is booted for; it reads this from the directory shared with the host. */
export interface Job {
  /** Compiled test files, absolute. */
  readonly files: readonly string[];
  /** Only tests whose full title matches. */
  readonly grep?: string;
  /** Also tell the console what is going on. */
  readonly loud?: boolean;
  /** Added to the environment of the tests. */
  readonly env: Readonly<Record<string, string>>;
}

/** What happens inside, one JSON object a line. */
export type InnerEvent =
  /** Something begins that says so itself when it is late, after `timeoutMs` (0: never). */
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
  /** What was printed with console.log since the last test ended. */
  | { readonly event: 'said'; readonly text: string }
  | { readonly event: 'ended' };

export const jobFile = (directory: string): string => join(directory, 'job.json');
export const eventsFile = (directory: string): string => join(directory, 'events');

/** The name by which a test is known on both sides. */
export function titleOf(test: { titlePath(): string[] }): string {
  return test.titlePath().join(' ');
}
