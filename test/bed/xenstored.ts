import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { errorCode } from '../../src/errors.js';
import { pause } from '../../src/util/retry.js';
import { type Child, startChild, stopChild } from './child.js';
import { fileExists, within } from './deadline.js';
import { built, findXenstored, temporaryDirectory } from './paths.js';

const START_DEADLINE_MS = 20_000;

/** A private xenstored: Debian's program with its real store, but without a hypervisor. */
export interface Xenstored extends AsyncDisposable {
  /** The environment that leads every client there: libxenstore, the xenstore-* tools, ours. */
  readonly env: Record<string, string>;
  readonly socketPath: string;
  readonly directory: string;
  /** The file with a line for every request and event, if it was started with `trace`. */
  readonly tracePath: string;
  /** The number of the running process. `restart()` changes it. */
  readonly pid: number;
  kill(signal: NodeJS.Signals): void;
  /** Ends xenstored, if it runs, and starts it with an empty store and the same socket path. */
  restart(): Promise<void>;
  /** Ends xenstored and removes its directory. Idempotent. */
  stop(): Promise<void>;
}

/**
 * Starts a xenstored, and resolves when it answers. Its files are in `directory`, by default a new
 * temporary one. The kernel kills it if this process dies without stopping it.
 */
export async function startXenstored(
  options: { readonly directory?: string; readonly trace?: boolean } = {},
): Promise<Xenstored> {
  const program = findXenstored();
  if (program === undefined) throw new Error('no /usr/lib/xen-*/bin/xenstored is installed');
  const directory = options.directory ?? temporaryDirectory();
  mkdirSync(directory, { recursive: true });
  const socketPath = join(directory, 'socket');
  const tracePath = join(directory, 'trace');
  const args = ['-N', ...(options.trace ? ['-T', tracePath] : [])];
  let child: Child;
  try {
    child = await launch(program, args, directory, socketPath);
  } catch (error) {
    rmSync(directory, { recursive: true, force: true });
    throw error;
  }
  const xenstored: Xenstored = {
    env: { XENSTORED_PATH: socketPath, XENSTORED_RUNDIR: directory },
    socketPath,
    directory,
    tracePath,
    get pid() {
      return child.pid;
    },
    kill: (signal) => void child.process.kill(signal),
    async restart() {
      await stopChild(child);
      child = await launch(program, args, directory, socketPath);
    },
    async stop() {
      await stopChild(child);
      rmSync(directory, { recursive: true, force: true });
    },
    [Symbol.asyncDispose]: () => xenstored.stop(),
  };
  return xenstored;
}

async function launch(
  program: string,
  args: readonly string[],
  directory: string,
  socketPath: string,
): Promise<Child> {
  const preload = built('xenstored-preload.so');
  if (!existsSync(preload)) throw new Error(`${preload} is not built: run make -C test/bed`);
  // The socket of a killed predecessor would otherwise be taken for the new one.
  rmSync(socketPath, { force: true });
  const logPath = join(directory, 'xenstored.log');
  const log = openSync(logPath, 'w');
  const child = await startChild(program, args, {
    stdio: ['ignore', log, log],
    env: {
      PATH: process.env.PATH,
      LD_PRELOAD: preload,
      XENSTORED_RUNDIR: directory,
      XENSTORED_ROOTDIR: directory,
    },
  }).finally(() => closeSync(log));
  const death = child.ended.then((how) => {
    throw new Error(`xenstored ${how} before it answered: ${readFileSync(logPath, 'utf8').trim()}`);
  });
  // The end of xenstored after the race below must not be an unhandled rejection.
  death.catch(() => {});
  try {
    await within(START_DEADLINE_MS, `an answer from xenstored at ${socketPath}`, (signal) =>
      Promise.race([fileExists(socketPath, signal).then(() => answer(socketPath, signal)), death]),
    );
  } catch (error) {
    await stopChild(child);
    throw error;
  }
  return child;
}

/** Waits until xenstored has answered a request. */
async function answer(socketPath: string, signal: AbortSignal): Promise<void> {
  for (;;) {
    try {
      return await listRoot(socketPath, signal);
    } catch (error) {
      // xenstored is between its bind() and its listen(), for which there is no event.
      if (errorCode(error) !== 'ECONNREFUSED') throw error;
      await pause(1, signal);
    }
  }
}

/**
 * Sends one request in XenStore's wire format, XS_DIRECTORY of the root, and waits for an answer.
 */
function listRoot(socketPath: string, signal: AbortSignal): Promise<void> {
  const XS_DIRECTORY = 1;
  const path = Buffer.from('/\0');
  const header = Buffer.from(new Uint32Array([XS_DIRECTORY, 0, 0, path.length]).buffer);
  return new Promise((resolve, reject) => {
    const socket = connect({ path: socketPath, signal });
    socket.once('connect', () => socket.write(Buffer.concat([header, path])));
    socket.once('data', () => {
      socket.destroy();
      resolve();
    });
    socket.once('error', reject);
    socket.once('end', () => reject(new Error('xenstored closed the connection unasked')));
  });
}
