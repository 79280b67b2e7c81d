/**
 * Runs `body` with a resource that its result is to own from then on. Should `body` throw, the
 * resource is released first: there is no moment at which nobody owns it.
 */
export async function handOver<R extends AsyncDisposable, T>(
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
