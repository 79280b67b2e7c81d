import { existsSync, watch } from 'node:fs';
import { basename, dirname } from 'node:path';

/**
 * Runs `body`, at most `ms` milliseconds: then its signal is aborted and the promise rejects with a
 * sentence that says what was waited for. `what` may be a function, asked only then.
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
      const error = new Error(`not within ${ms} ms: ${text}`);
      reject(error);
      controller.abort(error);
    }, ms);
  });
  try {
    return await Promise.race([body(controller.signal), late]);
  } finally {
    clearTimeout(timer);
    // Whatever still listens (a file watch, a socket) lets go, also where the body threw.
    controller.abort();
  }
}

/**
 * Resolves when `check` gives something: asked at once, then whenever something happens in the
 * directory (inotify). Rejects when the signal is aborted or `check` throws.
 */
export function onDirectoryEvent<T>(
  directory: string,
  signal: AbortSignal,
  check: () => T | undefined,
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    // Watch first, look second: nothing can fall in between.
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
