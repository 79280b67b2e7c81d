import type { ClientOptions } from '../../src/xenstore/client.js';
import { openXenstore } from '../../src/xenstore/open.js';
import type { Xenstore } from '../../src/xenstore/xenstore.js';
import { startXenstored } from '../bed/xenstored.js';
import { MemoryXenstored } from '../store/memory.js';

/** A store that tests can connect to, stop and kill. */
export interface StoreBed extends AsyncDisposable {
  connect(options?: ClientOptions): Promise<Xenstore>;
  /** It answers nothing until `resume()`. */
  pause(): void;
  resume(): void;
  kill(): void;
}

/** `chunkSize` bytes, at the most, come to a client at a time. */
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

/** Debian's xenstored, reached through the addon. */
export async function startNativeBed(): Promise<StoreBed & { readonly path: string }> {
  const xenstored = await startXenstored();
  return {
    path: xenstored.socketPath,
    async connect(options) {
      // The environment is asked each time that a client connects.
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
