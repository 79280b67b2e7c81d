import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { within } from '../bed/deadline.js';

/** What this process holds of the kind that a XenStore connection takes. */
export interface Resources {
  readonly fds: number;
  /** The request threads, and libxenstore's readers, which inherit their name. */
  readonly threads: number;
}

export function resources(): Resources {
  const threads = readdirSync('/proc/self/task').filter((task) => {
    try {
      return readFileSync(`/proc/self/task/${task}/comm`, 'utf8').trim() === 'xenstore';
    } catch {
      // It has just ended.
      return false;
    }
  });
  return { fds: readdirSync('/proc/self/fd').length, threads: threads.length };
}

/** Waits until no more than `before` is held: an abandoned thread ends when it is answered. */
export async function returnsTo(before: Resources, ms = 5000): Promise<void> {
  const describe = () => `${JSON.stringify(resources())} to become ${JSON.stringify(before)}`;
  await within(ms, describe, async (signal) => {
    while (!signal.aborted) {
      const now = resources();
      if (now.fds <= before.fds && now.threads <= before.threads) return;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  });
}

/**
 * Asserts that nothing more is held than before. A thread that has been joined stands in /proc for
 * a moment longer: the kernel wakes the joiner before it takes the entry away.
 */
export async function assertReturnedTo(before: Resources): Promise<void> {
  await returnsTo(before, 500);
}

/** How many descriptors of this process lead to `path`, also once it is gone. */
export function descriptorsOf(path: string): number {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).replace(/ \(deleted\)$/, '') === path;
    } catch {
      // It was that of the directory itself.
      return false;
    }
  }).length;
}
