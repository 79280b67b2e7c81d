import { loadAddon } from '../linux/addon.js';

/**
 * Ends the process without waiting for any thread: libuv waits for those of its pool, and one may hang
 * in a file system. Listeners of 'exit' are run before.
 */
export function exitAtOnce(status: number): void {
  process.on('exit', () => {
    try {
      loadAddon().exitAtOnce(status);
    } catch {
      // Without the addon nothing can have been begun that hangs.
    }
  });
  process.exit(status);
}
