import { readdirSync, readlinkSync } from 'node:fs';
import { within } from '../bed/deadline.js';

/** What this process holds of the kind that a XenStore connection takes: descriptors. */
export interface Resources {
  readonly fds: number;
}

export function resources(): Resources {
  return { fds: readdirSync('/proc/self/fd').length };
}

/** Waits until no more than `before` is held. */
export async function returnsTo(before: Resources, ms = 5000): Promise<void> {
  const describe = () => `${JSON.stringify(resources())} to become ${JSON.stringify(before)}`;
  await within(ms, describe, async (signal) => {
    while (!signal.aborted) {
      if (resources().fds <= before.fds) return;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  });
}

/** Asserts that nothing more is held than before, or in a moment. */
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
