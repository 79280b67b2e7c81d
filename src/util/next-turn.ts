/** Resolves in the next turn of the event loop, when everything else that is due has been seen to. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
