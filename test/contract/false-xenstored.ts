import { rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import type { ClientOptions } from '../../src/xenstore/client.js';
import { openXenstore } from '../../src/xenstore/open.js';
import type { Xenstore } from '../../src/xenstore/xenstore.js';
import { temporaryDirectory } from '../bed/paths.js';
import { cutRequests, type RequestMessage } from '../store/server-messages.js';

/** The answer of a false xenstored to the requests of one batch. */
export type Behaviour = (socket: Socket, requests: readonly RequestMessage[]) => void;

/** A server that behaves as no xenstored should. */
export interface FalseXenstored extends AsyncDisposable {
  readonly socketPath: string;
  /** The connections that are open. */
  readonly connections: ReadonlySet<Socket>;
  connect(options?: ClientOptions): Promise<Xenstore>;
}

/** Starts a false xenstored that calls `behave` for each batch of requests. */
export async function startFalseXenstored(behave: Behaviour): Promise<FalseXenstored> {
  const directory = temporaryDirectory();
  const socketPath = join(directory, 'socket');
  const connections = new Set<Socket>();
  const server: Server = createServer((socket) => {
    connections.add(socket);
    socket.on('close', () => connections.delete(socket));
    socket.on('error', () => {});
    socket.on('data', (bytes) => behave(socket, cutRequests(bytes)));
  });
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  return {
    socketPath,
    connections,
    async connect(options) {
      process.env.XENSTORED_PATH = socketPath;
      return await openXenstore(options);
    },
    async [Symbol.asyncDispose]() {
      for (const socket of connections) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
