import { rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import type { Bed } from './bed.js';

// The numbers are those of docs/misc/xenstore.txt and xen/include/public/io/xs_wire.h.
const XS_READ = 2;
const XS_WATCH_EVENT = 15;
const XS_ERROR = 16;
const HEADER = 16;

/** Decides about a read: a text is the error to answer, and a promise delays the request. */
export type ReadRule = (path: string) => string | Promise<void> | undefined;

/** A proxy that answers some reads differently, or later, than the xenstored of the bed. */
export interface XenstoreProxy extends AsyncDisposable {
  /** The environment for programs that are to ask the proxy. */
  readonly env: Readonly<Record<string, string>>;
  /** Counts how often any client has sent a request while it was waiting for no reply. */
  trips(): number;
}

/** Starts a proxy for the bed's xenstored. `rule` gets the path of every read as sent. */
export async function startXenstoreProxy(
  bed: Bed,
  rule: ReadRule = () => undefined,
): Promise<XenstoreProxy> {
  const path = join(bed.directory, 'proxy.sock');
  let trips = 0;
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    let awaited = 0;
    const upstream = connect(bed.xenstored.socketPath);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => {});
    }
    // Only whole messages are passed on, so that an answer of the proxy fits between two of them.
    upstream.on(
      'data',
      byMessage((message) => {
        if (message.readUInt32LE(0) !== XS_WATCH_EVENT) awaited--;
        client.write(message);
      }),
    );
    upstream.on('close', () => client.destroy());
    client.on('close', () => upstream.destroy());
    client.on(
      'data',
      byMessage((message) => forward(message)),
    );
    const forward = (request: Buffer): void => {
      if (awaited++ === 0) trips++;
      const isRead = request.readUInt32LE(0) === XS_READ;
      const answer = isRead
        ? rule(request.toString('utf8', HEADER, request.length - 1))
        : undefined;
      if (typeof answer === 'string') {
        awaited--;
        client.write(refusal(request, answer));
      } else if (answer) void answer.then(() => upstream.write(request));
      else upstream.write(request);
    };
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return {
    env: { XENSTORED_PATH: path },
    trips: () => trips,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
      rmSync(path, { force: true });
    },
  };
}

/** Splits a stream into messages. */
function byMessage(take: (message: Buffer) => void): (data: Buffer) => void {
  let rest = Buffer.alloc(0);
  return (data) => {
    rest = Buffer.concat([rest, data]);
    while (rest.length >= HEADER) {
      const end = HEADER + rest.readUInt32LE(12);
      if (rest.length < end) break;
      take(Buffer.from(rest.subarray(0, end)));
      rest = rest.subarray(end);
    }
  };
}

/** Returns an XS_ERROR with the id and the transaction of the request. */
function refusal(request: Buffer, error: string): Buffer {
  const text = Buffer.from(`${error}\0`);
  const header = Buffer.from(request.subarray(0, HEADER));
  header.writeUInt32LE(XS_ERROR, 0);
  header.writeUInt32LE(text.length, 12);
  return Buffer.concat([header, text]);
}
