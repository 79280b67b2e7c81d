import { chmod, mkdir, rm } from 'node:fs/promises';
import { connect, createServer, type ListenOptions, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { errorCode, errorMessage } from '../errors.js';
import { readPeerUid } from '../linux/peer.js';
import { shorten, toOneLine } from '../util/one-line.js';
import type { EventFeed } from './event-feed.js';
import {
  ACCEPTED,
  type ControlRequest,
  DONE,
  failedReply,
  LONGEST_LINE,
  parseRequest,
  UNAVAILABLE,
} from './protocol.js';

/** Every disk of many guests at once; more is no toolstack. */
const MOST_CONNECTIONS = 1024;
/** A client sends its line at once. */
const LINE_DEADLINE_MS = 5000;

/** Carries a request out; throws what the client is to be told. */
export type ControlHandler = (request: ControlRequest) => Promise<void>;

/** The socket through which hotplug scripts ask. */
export class ControlSocket implements AsyncDisposable {
  readonly #server: Server;
  readonly #handler: ControlHandler;
  readonly #feed: EventFeed;
  readonly #idle = new Set<Socket>();
  /** Where it was made; `undefined` if it was passed by somebody, whose it is. */
  #path: string | undefined;

  private constructor(handler: ControlHandler, feed: EventFeed) {
    this.#handler = handler;
    this.#feed = feed;
    this.#server = createServer((socket) => this.#serve(socket));
    this.#server.maxConnections = MOST_CONNECTIONS;
  }

  /**
   * Listens at `path`, for root only. A socket that a dead daemon left there is replaced; where one
   * answers, it throws `EADDRINUSE`.
   */
  static async listen(
    path: string,
    handler: ControlHandler,
    feed: EventFeed,
  ): Promise<ControlSocket> {
    const control = new ControlSocket(handler, feed);
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    if (await answers(path)) {
      const inUse = new Error(`another daemon listens at ${path}`);
      throw Object.assign(inUse, { code: 'EADDRINUSE' });
    }
    await rm(path, { force: true });
    const mask = process.umask(0o177);
    try {
      await control.#listen({ path, backlog: MOST_CONNECTIONS });
    } finally {
      process.umask(mask);
    }
    await chmod(path, 0o600);
    control.#path = path;
    return control;
  }

  /** Serves a socket on which a service manager listens; it stays when this is closed. */
  static async adopt(fd: number, handler: ControlHandler, feed: EventFeed): Promise<ControlSocket> {
    const control = new ControlSocket(handler, feed);
    await control.#listen({ fd });
    return control;
  }

  async #listen(where: ListenOptions | { readonly fd: number }): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(where, resolve);
    });
  }

  /** Takes no more requests; those that were accepted still get their answer. */
  async close(): Promise<void> {
    if (!this.#server.listening) return;
    this.#server.close();
    for (const socket of this.#idle) socket.destroy();
    if (this.#path !== undefined) await rm(this.#path, { force: true });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #serve(socket: Socket): void {
    // A client that vanishes does not disturb what it has asked for.
    socket.on('error', () => undefined);
    const uid = readPeerUid(socket);
    if (uid !== 0) {
      socket.end(failedReply('EACCES', `only root may ask, not user ${uid ?? 'unknown'}`));
      return;
    }
    this.#idle.add(socket);
    socket.setTimeout(LINE_DEADLINE_MS, () => socket.destroy());
    socket.once('close', () => this.#idle.delete(socket));
    let line = '';
    const collect = (data: Buffer): void => {
      line += data.toString('latin1');
      const end = line.indexOf('\n');
      if (end < 0 && line.length <= LONGEST_LINE) return;
      socket.off('data', collect).resume().setTimeout(0);
      this.#idle.delete(socket);
      if (end < 0) socket.end(failedReply('EPROTOCOL', 'the request is too long'));
      else void this.#answer(socket, line.slice(0, end));
    };
    socket.on('data', collect);
  }

  async #answer(socket: Socket, line: string): Promise<void> {
    const parsed = parseRequest(line);
    if (!parsed.ok) {
      socket.end(parsed.reply);
      return;
    }
    const { request } = parsed;
    if (request.action === 'events') {
      if (this.#feed.add(socket)) socket.write(ACCEPTED);
      else socket.end(failedReply('EBUSY', 'too many others read events already'));
      return;
    }
    // One that was not heard in time does it itself: doing it here too, and so late, could only harm.
    const waits = await new Promise((resolve) => {
      socket.write(ACCEPTED, (error) => resolve(!error));
    });
    if (!waits) return;
    try {
      await this.#handler(request);
      socket.end(DONE);
    } catch (error) {
      const code = errorCode(error) ?? 'EINTERNAL';
      const sentence = shorten(toOneLine(errorMessage(error)));
      socket.end(code === 'EUNAVAILABLE' ? UNAVAILABLE : failedReply(code, sentence));
    }
  }
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
}
