import { monotonicMs } from '../util/clock.js';
import { allowListeners } from '../util/listeners.js';
import { type BlockingCalls, loadAddon, type Syscall, type SyscallArgument } from './addon.js';
import { SystemError } from './errno.js';
import { heldBackUntil, holdBack } from './held-descriptors.js';
import { type HungEntry, isAnyPlaceClosed, noteHungCall, refuseWhereHung } from './hung-calls.js';
import type { Place } from './place.js';
import { traceCall } from './trace.js';

/** A system call that may wait for a file system, a device or a driver without limit. */
export interface BlockingCall {
  readonly call: Syscall;
  readonly args: readonly SyscallArgument[];
  /** The name of the call in messages, such as an ioctl's own name; `call` by default. */
  readonly name?: string | undefined;
  /** The object of the call, for messages. */
  readonly object: string;
  /** Gives the call up. */
  readonly signal?: AbortSignal | undefined;
  /**
   * The descriptors that the call works on. After it is given up they stay open until it has come
   * back: its thread may not have begun yet, and their numbers must not mean other files then.
   */
  readonly uses: readonly number[];
  /** Returns the place that the call waits for, if known. Called only when some call hangs. */
  readonly place: () => Place | undefined;
  /** Finds out where the call hangs, if this is possible afterwards only. Never rejects. */
  readonly locate?: (() => Promise<Place | undefined>) | undefined;
  /** Disposes of the result if the call succeeds after it was given up. */
  readonly onAbandonedSuccess?: ((result: number) => void) | undefined;
  /**
   * Called when the call is given up. The promise resolves when the call has come back, after
   * `onAbandonedSuccess`.
   */
  readonly onAbandoned?: ((cameBack: Promise<void>) => void) | undefined;
}

/**
 * Runs a system call on a thread that may be left behind, so that no call has to wait for another
 * one that hangs. Returns the result. Throws `SystemError` with the errno of the call, with the
 * errno of pthread_create(3) if no thread can be had, or with `EHUNG` if too many calls to the same
 * place hang already. Rejects with the signal's reason as soon as the signal is aborted. From then
 * on the bytes of `args` are not written any more, and `onAbandonedSuccess` gets the result.
 */
export async function blockingCall(request: BlockingCall): Promise<number> {
  const { signal } = request;
  signal?.throwIfAborted();
  const name = request.name ?? request.call;
  if (isAnyPlaceClosed()) refuseWhereHung(name, request.object, request.place());
  const started = startCall(request);
  traceCall(name, request.object, started.result);
  if (signal === undefined) return await started.result;
  allowListeners(signal);
  return await new Promise((resolve, reject) => {
    const giveUp = (): void => {
      started.abandon(signal.reason);
      reject(signal.reason);
    };
    signal.addEventListener('abort', giveUp, { once: true });
    started.result.then(resolve, reject).finally(() => signal.removeEventListener('abort', giveUp));
  });
}

/** Longest wait for a close; milliseconds. */
const CLOSE_MS = 1000;
/** When a call takes this long, the search for the place where it hangs begins; milliseconds. */
const LOCATE_AFTER_MS = 1000;
/** Pause before the next try if there was no thread; milliseconds. */
const RETRY_MS = 100;

/**
 * Closes a descriptor on a thread that may be left behind. Never rejects: an error of close(2)
 * leaves nothing to do. Resolves when the descriptor is closed, when `signal` is aborted, or after
 * a second; the close then goes on by itself. Resolves at once if a call that was given up still
 * works on the descriptor.
 */
export async function closeDescriptor(
  fd: number,
  object: string,
  signal?: AbortSignal,
): Promise<void> {
  const held = heldBackUntil(fd);
  if (held !== undefined) {
    void held.then(() => closeDescriptor(fd, object));
    return;
  }
  const started = startCall({
    call: 'close',
    args: [fd],
    uses: [],
    object,
    place: () => undefined,
  });
  await new Promise<void>((resolve) => {
    const giveUp = (): void => {
      started.abandon(signal?.reason);
      resolve();
    };
    const timer = setTimeout(giveUp, CLOSE_MS);
    signal?.addEventListener('abort', giveUp, { once: true });
    if (signal?.aborted) giveUp();
    const end = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', giveUp);
      resolve();
    };
    started.result.then(end, (error: unknown) => {
      end();
      // No thread has run, so the descriptor is still open.
      if (error instanceof SystemError && error.syscall === THREAD) {
        setTimeout(() => void closeDescriptor(fd, object), RETRY_MS).unref();
      }
    });
  });
}

const THREAD = 'pthread_create';

interface Started {
  readonly result: Promise<number>;
  /** Gives the call up. Has no effect after the first time, or once there is a result. */
  abandon(reason: unknown): void;
}

type Done = (result: number, errno: number) => void;

let calls: BlockingCalls | undefined;
const waiting = new Map<number, Done>();

function openCalls(): BlockingCalls {
  calls ??= loadAddon().openBlockingCalls((id, result, errno) => {
    const done = waiting.get(id);
    waiting.delete(id);
    done?.(result, errno);
  });
  return calls;
}

function startCall(request: BlockingCall): Started {
  const { call, args, object, place, locate, onAbandonedSuccess, onAbandoned, uses } = request;
  const name = request.name ?? call;
  const since = monotonicMs();
  let entry: HungEntry | undefined;
  let cameBack = (): void => {};
  let id = 0;
  let search: Promise<Place | undefined> | undefined;
  // Code that gives the call up wants to say at once where the call hangs.
  const timer = locate && setTimeout(() => (search = locate()), LOCATE_AFTER_MS);
  const result = new Promise<number>((resolve, reject) => {
    id = openCalls().start(loadAddon().syscalls[call], args, call.startsWith('openat'));
    if (id < 0) {
      clearTimeout(timer);
      reject(noThread(name, object, -id));
      return;
    }
    waiting.set(id, (value, errno) => {
      clearTimeout(timer);
      if (entry === undefined) {
        if (errno === 0) resolve(value);
        else reject(SystemError.fromErrno(name, object, errno));
        return;
      }
      entry.end();
      if (errno === 0) onAbandonedSuccess?.(value);
      cameBack();
    });
  });
  const abandon = (reason: unknown): void => {
    if (entry !== undefined || !waiting.has(id)) return;
    openCalls().abandon(id);
    const noted = noteHungCall({ syscall: name, object, place: place(), since }, reason);
    entry = noted;
    const promise = new Promise<void>((resolve) => {
      cameBack = resolve;
    });
    for (const fd of uses) holdBack(fd, promise);
    onAbandoned?.(promise);
    clearTimeout(timer);
    if (locate !== undefined) noted.placeAt(search ?? locate());
  };
  return { result, abandon };
}

function noThread(name: string, object: string, errno: number): SystemError {
  const { code, message } = SystemError.fromErrno(THREAD, `for ${name} ${object}`, errno);
  return new SystemError(
    `${message}: the process may have no more threads (TasksMax of its unit, ulimit -u) or no more memory`,
    { code, errno, syscall: THREAD },
  );
}
