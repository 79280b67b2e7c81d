import { rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import type { Bed } from './bed.js';

// docs/misc/xenstore.txt and xen/include/public/io/xs_wire.h
const XS_READ = 2;
const XS_WATCH_EVENT = 15;
const XS_ERROR = 16;
const HEADER = 16;

/** What becomes of a read: an error for an answer, or a wait before xenstored is asked. */
export type ReadRule = (path: string) => string | Promise<void> | undefined;

/** A xenstored that answers some reads otherwise, or later, than the one of the bed. */
export interface XenstoreProxy extends AsyncDisposable {
  /** For the programs that are to ask this one. */
  readonly env: Readonly<Record<string, string>>;
  /** How often a client has sent something while it waited for no reply, over all clients so far. */
  trips(): number;
}

/** Stands before the bed's xenstored: `rule` sees the path of every read, as the client wrote it. */
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
    // Whole messages only: an answer of ours goes between two of xenstored's.
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

/** Takes a stream apart into messages. */
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

/** XS_ERROR with the request's own id and transaction. */
function refusal(request: Buffer, error: string): Buffer {
  const text = Buffer.from(`${error}\0`);
  const header = Buffer.from(request.subarray(0, HEADER));
  header.writeUInt32LE(XS_ERROR, 0);
  header.writeUInt32LE(text.length, 12);
  return Buffer.concat([header, text]);
}
