import { monotonicMs } from '../util/clock.js';
import { allowListeners } from '../util/listeners.js';
import { type BlockingCalls, loadAddon, type Syscall, type SyscallArgument } from './addon.js';
import { SystemError } from './errno.js';
import { type HungEntry, isAnyPlaceClosed, noteHungCall, refuseWhereHung } from './hung-calls.js';
import type { Place } from './place.js';
import { traceCall } from './trace.js';

/** A system call that may wait for a file system, a device or a driver for as long as it likes. */
export interface BlockingCall {
  readonly call: Syscall;
  readonly args: readonly SyscallArgument[];
  /** What it is called in messages, if not `call`: an ioctl's own name. */
  readonly name?: string | undefined;
  /** What it is done to, for messages. */
  readonly object: string;
  /** Gives it up. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Descriptors that it works on. Should it be given up they stay open until it has come back: the thread
   * may not even have begun, and their numbers must not mean anything else by then.
   */
  readonly uses: readonly number[];
  /** What it waits for. Asked only when some call hangs; `undefined` means unknown. */
  readonly place: () => Place | undefined;
  /** Tells where it hangs, where only that can be found out afterwards; never rejects. */
  readonly locate?: (() => Promise<Place | undefined>) | undefined;
  /** Disposes of the result of a call that was given up, if it succeeds all the same. */
  readonly late?: ((result: number) => void) | undefined;
  /** Told when it is given up; the promise resolves when it has come back all the same, after `late`. */
  readonly gaveUp?: ((cameBack: Promise<void>) => void) | undefined;
}

/**
 * Runs a system call on a thread that is left behind if need be: no call waits for another one, in
 * whatever it may hang. Returns its result. Throws `SystemError` with its errno; with the errno of
 * pthread_create(3) where it gets no thread; with `EHUNG` where too many calls to the same place hang
 * already. Rejects with the signal's reason as soon as it is aborted: from then on the bytes of `args`
 * are not written any more, and `late` gets what comes.
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

/** How long a close is waited for where nobody sets an end; milliseconds. */
const CLOSE_MS = 1000;
/** After this time it is looked for where a call hangs, before it is given up; milliseconds. */
const LOCATE_AFTER_MS = 1000;
/** The next try after there was no thread to be had. */
const RETRY_MS = 100;

/**
 * Closes a descriptor on such a thread. Never rejects: an error of close(2) leaves nothing to be done.
 * Resolves when it is closed, when `signal` is aborted, or after a second: it goes on by itself then.
 */
export async function closeDescriptor(
  fd: number,
  object: string,
  signal?: AbortSignal,
): Promise<void> {
  const held = heldBack.get(fd);
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
      // Without a thread nothing has been closed.
      if (error instanceof SystemError && error.syscall === THREAD) {
        setTimeout(() => void closeDescriptor(fd, object), RETRY_MS).unref();
      }
    });
  });
}

/** Descriptors that calls which were given up still work on. */
const heldBack = new Map<number, Promise<unknown>>();

/** Whether a close of this descriptor waits for a call that was given up. */
export function isHeldBack(fd: number): boolean {
  return heldBack.has(fd);
}

function holdBack(fd: number, cameBack: Promise<void>): void {
  const all = Promise.all([heldBack.get(fd), cameBack]);
  heldBack.set(fd, all);
  void all.then(() => {
    if (heldBack.get(fd) === all) heldBack.delete(fd);
  });
}

const THREAD = 'pthread_create';

interface Started {
  readonly result: Promise<number>;
  /** Idempotent; of no effect once there is a result. */
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
  const { call, args, object, place, locate, late, gaveUp, uses } = request;
  const name = request.name ?? call;
  const since = monotonicMs();
  let entry: HungEntry | undefined;
  let cameBack = (): void => {};
  let id = 0;
  let search: Promise<Place | undefined> | undefined;
  // Whoever gives it up wants to say at once where it hangs.
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
      if (errno === 0) late?.(value);
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
    gaveUp?.(promise);
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
