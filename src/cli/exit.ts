import { loadAddon } from '../linux/addon.js';

/**
 * Ends the process without waiting for any thread. A normal exit waits for the threads of libuv's
 * pool, and such a thread may hang in a file system. Listeners of 'exit' run before the end.
 */
export function exitAtOnce(status: number): void {
  process.on('exit', () => {
    try {
      loadAddon().exitAtOnce(status);
    } catch {
      // Without the addon, no call that may hang can have begun.
    }
  });
  process.exit(status);
}
