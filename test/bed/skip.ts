/**
 * Skips the test, or in a `before` hook its whole suite, and prints the full title and the reason, so
 * that nobody takes the test for one that has passed.
 */
export function skipByName(context: Mocha.Context, reason: string): never {
  const runnable = context.runnable();
  // For a hook, the title of the suite is shown, because the title of the hook says nothing.
  const isHook = runnable.title.startsWith('"before');
  const title = isHook ? runnable.parent?.fullTitle() : runnable.fullTitle();
  console.log(`SKIPPED: ${title}: ${reason}`);
  return context.skip();
}
