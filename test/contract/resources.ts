import { readdirSync, readlinkSync } from 'node:fs';
import { within } from '../bed/deadline.js';

/** The resources of this process that a XenStore connection takes: descriptors. */
export interface Resources {
  readonly fds: number;
}

/** Returns the resources that this process has now. */
export function resources(): Resources {
  return { fds: readdirSync('/proc/self/fd').length };
}

/** Waits until this process has no more resources than `before`, for `ms` milliseconds at most. */
export async function returnsTo(before: Resources, ms = 5000): Promise<void> {
  const describe = () => `${JSON.stringify(resources())} to become ${JSON.stringify(before)}`;
  await within(ms, describe, async (signal) => {
    while (!signal.aborted) {
      if (resources().fds <= before.fds) return;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  });
}

/** Asserts that this process has no more resources than before, at once or 500 ms later at most. */
export async function assertReturnedTo(before: Resources): Promise<void> {
  await returnsTo(before, 500);
}

/**
 * Returns the number of descriptors of this process that lead to `path`, even after the file is
 * removed.
 */
export function descriptorsOf(path: string): number {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).replace(/ \(deleted\)$/, '') === path;
    } catch {
      // This was the descriptor with which readdirSync read the directory.
      return false;
    }
  }).length;
}
