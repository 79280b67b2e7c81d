/** The descriptors that calls still work on after they were given up. */
const heldBack = new Map<number, Promise<unknown>>();

/** Tells whether a close of this descriptor waits for a call that was given up. */
export function isHeldBack(fd: number): boolean {
  return heldBack.has(fd);
}

/**
 * Returns a promise that resolves when all calls that still work on a descriptor have come back, or
 * `undefined` if there are none.
 */
export function heldBackUntil(fd: number): Promise<unknown> | undefined {
  return heldBack.get(fd);
}

/** Keeps a descriptor from being closed until a call that was given up has come back. */
export function holdBack(fd: number, cameBack: Promise<void>): void {
  const all = Promise.all([heldBack.get(fd), cameBack]);
  heldBack.set(fd, all);
  void all.then(() => {
    if (heldBack.get(fd) === all) heldBack.delete(fd);
  });
}
