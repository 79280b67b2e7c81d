import { existsSync, watch } from 'node:fs';
import { basename, dirname } from 'node:path';

/** The error of something that has taken too long. */
export class LateError extends Error {}

/**
 * Runs `body` for `ms` milliseconds at most. After this time, aborts its signal and rejects with a
 * `LateError` that contains `what`, the description of the expected event. If `what` is a function, it
 * is called only then.
 */
export async function within<T>(
  ms: number,
  what: string | (() => string),
  body: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      const text = typeof what === 'string' ? what : what();
      const error = new LateError(`not within ${ms} ms: ${text}`);
      reject(error);
      controller.abort(error);
    }, ms);
  });
  try {
    return await Promise.race([body(controller.signal), late]);
  } finally {
    clearTimeout(timer);
    // Ends everything that still listens, such as a file watch or a socket, even if the body threw.
    controller.abort();
  }
}

/**
 * Resolves when `check` returns a value. Calls `check` at once, and then each time that something
 * happens in the directory (inotify). Rejects when the signal is aborted or `check` throws.
 */
export function onDirectoryEvent<T>(
  directory: string,
  signal: AbortSignal,
  check: () => T | undefined,
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    // The watch begins before the first look, so that no change is missed between them.
    const watcher = watch(directory);
    const finish = (settle: () => void) => {
      signal.removeEventListener('abort', abort);
      watcher.close();
      settle();
    };
    const abort = () => finish(() => reject(signal.reason));
    const look = () => {
      try {
        const answer = check();
        if (answer !== undefined) finish(() => resolve(answer));
      } catch (error) {
        finish(() => reject(error));
      }
    };
    watcher.on('error', (error) => finish(() => reject(error)));
    watcher.on('change', look);
    if (signal.aborted) return abort();
    signal.addEventListener('abort', abort);
    look();
  });
}

/** Resolves when the file exists. */
export async function fileExists(path: string, signal: AbortSignal): Promise<void> {
  const name = basename(path);
  await onDirectoryEvent(dirname(path), signal, () => (existsSync(path) ? name : undefined));
}
