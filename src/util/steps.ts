/** One step of something that is done in order, and undone in the reverse order when a later step fails. */
export interface Step<Name extends string> {
  readonly name: Name;
  /** What the step waits for, for the end of a sentence; it is asked when time is up. */
  readonly waitsFor: string;
  /** Does it; the result is for people. When it throws, nothing of it is left to be undone. */
  readonly run: () => Promise<string>;
  /** Undoes it, whatever it takes. Never rejects: there is an error to be told already. */
  readonly undo?: (error: unknown) => Promise<void>;
}

export interface StepListener<Name extends string> {
  onStart(step: Step<Name>): void;
  onDone(step: Step<Name>, detail: string): void;
}

/**
 * Runs steps one after another. When one fails, those before it are undone in reverse order, and its
 * error is thrown.
 */
export async function runSteps<Name extends string>(
  steps: Iterable<Step<Name>>,
  listener: StepListener<Name>,
): Promise<void> {
  const done: Step<Name>[] = [];
  try {
    for (const step of steps) {
      listener.onStart(step);
      const detail = await step.run();
      done.push(step);
      listener.onDone(step, detail);
    }
  } catch (error) {
    for (const { undo } of done.reverse()) await undo?.(error);
    throw error;
  }
}
