import assert from 'node:assert/strict';

/** Returns the only element of a list; fails if there is another number of elements. */
export function only<T>(list: readonly T[]): T {
  assert.equal(list.length, 1, JSON.stringify(list));
  return list[0] as T;
}

/**
 * Waits until an attempt fails. Asserts that its error has this code and a message of one line, and
 * returns the error.
 */
export async function failure(code: string, attempt: Promise<unknown>): Promise<Error> {
  const error = await attempt.then(
    () => assert.fail(`it should have failed with ${code}`),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof Error);
  assert.equal('code' in error ? error.code : undefined, code, error.stack ?? '');
  assert.doesNotMatch(error.message, /\n/);
  return error;
}
