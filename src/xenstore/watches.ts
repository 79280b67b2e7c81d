import { type CloseReason, closeFailure } from './failure.js';
import { checkWatchPath } from './path.js';
import type { Requests } from './requests.js';
import { WatchTree } from './watch-tree.js';
import type { Watch, WatchListener, WatchOptions } from './xenstore.js';

interface Registration {
  readonly path: string;
  readonly listener: WatchListener;
  /** The watches below `path` that xenstored does not know about. */
  readonly covered: WatchTree | undefined;
}

/** The watches of one client, by the tokens that tell the events of different watches apart. */
export class Watches {
  readonly #requests: Requests;
  readonly #registered = new Map<string, Registration>();
  #lastToken = 0;

  constructor(requests: Requests) {
    this.#requests = requests;
  }

  /** Registers a watch. The first event of the watch may come before the promise is awaited. */
  async register(path: string, listener: WatchListener, options: WatchOptions): Promise<Watch> {
    checkWatchPath(path);
    options.signal?.throwIfAborted();
    const cover = this.#coverOf(path);
    if (cover !== undefined) return registerCovered(cover, path, listener);
    this.#lastToken++;
    const token = String(this.#lastToken);
    const covered = options.covering ? new WatchTree() : undefined;
    // The watch covers no others before xenstored has registered it.
    this.#registered.set(token, { path, listener, covered: undefined });
    try {
      await this.#requests.send('watch', path, path, `${token}\0`, {
        signal: options.signal,
        // xenstored serves the unwatch after the watch, so the unwatch need not wait for the reply.
        onAbandoned: () => this.#requests.sendAndForget('unwatch', path, path, `${token}\0`),
      });
    } catch (error) {
      this.#registered.delete(token);
      throw error;
    }
    if (this.#registered.has(token)) this.#registered.set(token, { path, listener, covered });
    let closing: Promise<void> | undefined;
    const close = () => {
      closing ??= this.#close(path, token);
      return closing;
    };
    return { path, close, [Symbol.asyncDispose]: close };
  }

  /**
   * Passes an event on to the listeners. Drops an event of a watch that was closed meanwhile:
   * xenstored may still send some.
   */
  event(path: string, token: string): void {
    const registration = this.#registered.get(token);
    if (!registration) return;
    const { listener, covered } = registration;
    call(() => listener.onEvent(path));
    for (const [watch, told] of covered?.concerned(path) ?? []) {
      call(() => watch.listener.onEvent(told));
    }
  }

  /** Tells every watch that no event will come any more. */
  end(reason: CloseReason): void {
    const registrations = [...this.#registered.values()];
    this.#registered.clear();
    for (const { path, listener, covered } of registrations) {
      call(() => listener.onLost(closeFailure('watch', path, reason)));
      if (covered) endCovered(covered, reason);
    }
  }

  #coverOf(path: string): WatchTree | undefined {
    for (const registration of this.#registered.values()) {
      if (registration.covered && path.startsWith(`${registration.path}/`)) {
        return registration.covered;
      }
    }
    return undefined;
  }

  async #close(path: string, token: string): Promise<void> {
    const registration = this.#registered.get(token);
    if (!this.#registered.delete(token)) return;
    if (registration?.covered) endCovered(registration.covered, 'closed');
    try {
      await this.#requests.send('unwatch', path, path, `${token}\0`);
    } catch {
      // The watch dies with the connection at the latest.
    }
  }
}

/**
 * Registers a watch without a trip to xenstored. Every change that would make xenstored send an
 * event for this watch makes it send one for the covering watch.
 */
function registerCovered(cover: WatchTree, path: string, listener: WatchListener): Watch {
  const watch = { path, listener };
  let open = true;
  cover.add(watch);
  queueMicrotask(() => {
    if (open) call(() => listener.onEvent(path));
  });
  const close = async () => {
    open = false;
    cover.delete(watch);
  };
  return { path, close, [Symbol.asyncDispose]: close };
}

function endCovered(covered: WatchTree, reason: CloseReason): void {
  for (const watch of [...covered.all()]) {
    covered.delete(watch);
    call(() => watch.listener.onLost(closeFailure('watch', watch.path, reason)));
  }
}

/**
 * Calls a listener. A listener that throws is reported as uncaught, and does not keep an event from
 * the other listeners.
 */
function call(listener: () => void): void {
  try {
    listener();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
