/**
 * One step of a sequence. If a later step fails, the completed steps are undone in reverse order.
 */
export interface Step<Name extends string> {
  readonly name: Name;
  /** The thing that the step waits for, as the end of a sentence. It is read when time is up. */
  readonly waitsFor: string;
  /**
   * Does the step. The result is for people. If this function throws, it leaves nothing to undo.
   */
  readonly run: () => Promise<string>;
  /**
   * Undoes the step completely. If this function rejects, the other steps are undone all the same.
   */
  readonly undo?: (error: unknown) => Promise<void>;
}

/** A listener that hears when a step starts and when it is done. */
export interface StepListener<Name extends string> {
  onStart(step: Step<Name>): void;
  onDone(step: Step<Name>, detail: string): void;
  /** Called with the error of a step that could not be undone. */
  onLeft?(step: Step<Name>, error: unknown): void;
}

/**
 * Runs steps one after another. If a step fails, the steps before it are undone in reverse order,
 * and the error of the failed step is thrown, whether or not all of them can be undone.
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
    for (const step of done.reverse()) {
      try {
        await step.undo?.(error);
      } catch (left) {
        listener.onLeft?.(step, left);
      }
    }
    throw error;
  }
}
