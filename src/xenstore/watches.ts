import { type Ending, endingFailure } from './failure.js';
import { checkWatchPath } from './path.js';
import type { Requests } from './requests.js';
import type { Watch, WatchListener } from './xenstore.js';

interface Registration {
  readonly path: string;
  readonly listener: WatchListener;
}

/** The watches of one client, by the tokens that tell their events apart. */
export class Watches {
  readonly #requests: Requests;
  readonly #registered = new Map<string, Registration>();
  #lastToken = 0;

  constructor(requests: Requests) {
    this.#requests = requests;
  }

  /** Registers a watch; its first event may come before the promise is awaited. */
  async register(path: string, listener: WatchListener, signal?: AbortSignal): Promise<Watch> {
    checkWatchPath(path);
    this.#lastToken++;
    const token = String(this.#lastToken);
    this.#registered.set(token, { path, listener });
    try {
      await this.#requests.send('watch', path, token, {
        signal,
        late: () => this.#requests.sendAndForget('unwatch', path, token),
      });
    } catch (error) {
      this.#registered.delete(token);
      throw error;
    }
    let closing: Promise<void> | undefined;
    const close = () => {
      closing ??= this.#close(path, token);
      return closing;
    };
    return { path, close, [Symbol.asyncDispose]: close };
  }

  /** An event of a watch that was closed meanwhile is dropped: xenstored may still send some. */
  event(path: string, token: string): void {
    const listener = this.#registered.get(token)?.listener;
    if (listener) call(() => listener.onEvent(path));
  }

  /** Tells every watch that no event will come any more. */
  end(ending: Ending): void {
    const registrations = [...this.#registered.values()];
    this.#registered.clear();
    for (const { path, listener } of registrations) {
      call(() => listener.onLost(endingFailure('watch', path, ending)));
    }
  }

  async #close(path: string, token: string): Promise<void> {
    if (!this.#registered.delete(token)) return;
    try {
      await this.#requests.send('unwatch', path, token);
    } catch {
      // The watch dies with the connection at the latest.
    }
  }
}

/** Calls a listener; one that throws is reported as uncaught and keeps no event from the others. */
function call(listener: () => void): void {
  try {
    listener();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
