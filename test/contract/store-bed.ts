import type { ClientOptions } from '../../src/xenstore/client.js';
import { openXenstore } from '../../src/xenstore/open.js';
import type { Xenstore } from '../../src/xenstore/xenstore.js';
import { startXenstored } from '../bed/xenstored.js';
import { MemoryXenstored } from '../store/memory.js';

/** A store that tests can connect to, pause and kill. */
export interface StoreBed extends AsyncDisposable {
  connect(options?: ClientOptions): Promise<Xenstore>;
  /** Stops all answers until `resume()`. */
  pause(): void;
  resume(): void;
  kill(): void;
}

/** Starts a store in memory. A client gets at most `chunkSize` bytes at a time. */
export async function startMemoryBed(chunkSize?: number): Promise<StoreBed> {
  const server = new MemoryXenstored(chunkSize);
  return {
    connect: async (options) => server.connect(options),
    pause: () => server.pause(),
    resume: () => server.resume(),
    kill: () => server.kill(),
    [Symbol.asyncDispose]: async () => server.kill(),
  };
}

/** Starts Debian's xenstored, which clients reach through the addon. */
export async function startNativeBed(): Promise<StoreBed & { readonly path: string }> {
  const xenstored = await startXenstored();
  return {
    path: xenstored.socketPath,
    async connect(options) {
      // A client reads the environment each time it connects.
      process.env.XENSTORED_PATH = xenstored.socketPath;
      return await openXenstore(options);
    },
    pause: () => xenstored.kill('SIGSTOP'),
    resume: () => xenstored.kill('SIGCONT'),
    kill: () => xenstored.kill('SIGKILL'),
    async [Symbol.asyncDispose]() {
      xenstored.kill('SIGCONT');
      await xenstored.stop();
    },
  };
}
