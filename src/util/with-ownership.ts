/**
 * Runs `body` with a resource that the result of `body` owns afterwards. If `body` throws, the
 * resource is released first. The resource has an owner at every moment.
 */
export async function withOwnership<R extends AsyncDisposable, T>(
  resource: R,
  body: (resource: R) => Promise<T>,
): Promise<T> {
  try {
    return await body(resource);
  } catch (error) {
    await resource[Symbol.asyncDispose]();
    throw error;
  }
}
