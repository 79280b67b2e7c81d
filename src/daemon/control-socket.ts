import { chmod, rm } from 'node:fs/promises';
import { createServer, type ListenOptions, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { errorCode, errorMessage } from '../errors.js';
import type { OwnedFd } from '../linux/fd.js';
import { makeDirectory } from '../linux/make-directory.js';
import { readPeerUid } from '../linux/peer.js';
import { shorten, toOneLine } from '../util/one-line.js';
import { withOwnership } from '../util/with-ownership.js';
import type { EventFeed } from './event-feed.js';
import {
  ACCEPTED,
  acceptedReply,
  type ControlRequest,
  DONE,
  failedReply,
  LONGEST_LINE,
  parseRequest,
  type ReportRequest,
  UNAVAILABLE,
} from './protocol.js';
import { answers, inUse, lockAddress, requireSocket } from './socket-address.js';

/** Enough for every disk of many guests at once. No toolstack needs more. */
const MOST_CONNECTIONS = 1024;
/** A client sends its request line within this time; milliseconds. */
const LINE_DEADLINE_MS = 5000;

/** A function that carries out a request. It throws the error that the client is to be told. */
export type ControlHandler = (request: ControlRequest) => Promise<void>;

/** Options of a `ControlSocket`. */
export interface ControlOptions {
  readonly handler: ControlHandler;
  readonly feed: EventFeed;
  /** Returns the whole reply to a question about the daemon, or about a vbd. */
  readonly report: (question: ReportRequest['action'], about?: string) => Promise<string>;
  /** Called with the reason when a request is refused before the handler sees it. */
  readonly onRefused?: (reason: string) => void;
  /** How long the handler may take at most; milliseconds. */
  readonly timeoutMs: number;
}

/** The socket at which hotplug scripts ask the daemon. */
export class ControlSocket implements AsyncDisposable {
  readonly #server: Server;
  readonly #handler: ControlHandler;
  readonly #feed: EventFeed;
  readonly #report: ControlOptions['report'];
  readonly #onRefused: ControlOptions['onRefused'];
  readonly #timeoutMs: number;
  readonly #idle = new Set<Socket>();
  /** The path of the socket. `undefined` if a service manager owns the socket and passed it. */
  #path: string | undefined;
  /** Tells other daemons that this one lives. The kernel drops the lock when the process ends. */
  #lock: OwnedFd | undefined;

  private constructor({ handler, feed, report, onRefused, timeoutMs }: ControlOptions) {
    this.#handler = handler;
    this.#report = report;
    this.#feed = feed;
    this.#onRefused = onRefused;
    this.#timeoutMs = timeoutMs;
    // A client may close its own direction behind its request, as `nc -N` does, and waits for the answer.
    this.#server = createServer({ allowHalfOpen: true }, (socket) => this.#serve(socket));
    this.#server.maxConnections = MOST_CONNECTIONS;
  }

  /**
   * Listens at `path`, for root only. Replaces a socket that a dead daemon has left there. Throws
   * `EADDRINUSE` if another daemon lives, and leaves the socket of that daemon alone.
   */
  static async listen(path: string, options: ControlOptions): Promise<ControlSocket> {
    const control = new ControlSocket(options);
    requireSocket(path);
    makeDirectory(dirname(path));
    return await withOwnership(lockAddress(path), async (lock) => {
      // A daemon of an earlier version holds no lock.
      if (await answers(path)) throw inUse(path);
      await rm(path, { force: true });
      const mask = process.umask(0o177);
      try {
        await control.#listen({ path, backlog: MOST_CONNECTIONS });
      } finally {
        process.umask(mask);
      }
      await chmod(path, 0o600);
      control.#path = path;
      control.#lock = lock;
      return control;
    });
  }

  /** Serves the listening socket of a service manager. `close` does not remove that socket. */
  static async adopt(fd: number, options: ControlOptions): Promise<ControlSocket> {
    const control = new ControlSocket(options);
    await control.#listen({ fd });
    return control;
  }

  async #listen(where: ListenOptions | { readonly fd: number }): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(where, resolve);
    });
  }

  /** Accepts no more requests. Requests that were accepted before still get their answer. */
  async close(): Promise<void> {
    if (!this.#server.listening) return;
    this.#server.close();
    for (const socket of this.#idle) socket.destroy();
    if (this.#path !== undefined) await rm(this.#path, { force: true });
    // The lock goes last. Otherwise the removal above could hit the socket of the next daemon.
    await this.#lock?.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #serve(socket: Socket): void {
    // A job goes on even if the client that asked for it vanishes.
    socket.on('error', () => undefined);
    const uid = readPeerUid(socket);
    if (uid !== 0) {
      const reason = `only root may ask, not user ${uid ?? 'unknown'}`;
      this.#refuse(socket, failedReply('EACCES', reason));
      return;
    }
    this.#idle.add(socket);
    socket.setTimeout(LINE_DEADLINE_MS, () => socket.destroy());
    socket.once('close', () => this.#idle.delete(socket));
    socket.once('end', () => {
      if (this.#idle.has(socket)) socket.destroy();
    });
    let line = '';
    const collect = (data: Buffer): void => {
      line += data.toString('latin1');
      const end = line.indexOf('\n');
      if (end < 0 && line.length <= LONGEST_LINE) return;
      socket.off('data', collect).resume().setTimeout(0);
      this.#idle.delete(socket);
      if (end < 0) this.#refuse(socket, failedReply('EPROTOCOL', 'the request is too long'));
      else void this.#answer(socket, line.slice(0, end));
    };
    socket.on('data', collect);
  }

  async #answer(socket: Socket, line: string): Promise<void> {
    const parsed = parseRequest(line);
    if (!parsed.ok) {
      this.#refuse(socket, parsed.reply);
      return;
    }
    const { request } = parsed;
    if (request.action === 'events') {
      if (this.#feed.add(socket, ACCEPTED, request.start)) {
        // Whoever reads events says nothing more, and ends by closing.
        socket.once('end', () => socket.end());
        return;
      }
      this.#refuse(socket, failedReply('EBUSY', 'too many others read events already'));
      return;
    }
    if (!('path' in request)) {
      await this.#report(request.action, request.about).then(
        (reply) => socket.end(reply),
        (error: unknown) => this.#refuse(socket, failureReply(error)),
      );
      return;
    }
    // A client that got no answer in time does the work itself, and a second start now could do harm.
    const isWaiting = await new Promise((resolve) => {
      socket.write(acceptedReply(this.#timeoutMs), (error) => resolve(!error));
    });
    if (!isWaiting) return;
    try {
      await this.#handler(request);
      socket.end(DONE);
    } catch (error) {
      socket.end(errorCode(error) === 'EUNAVAILABLE' ? UNAVAILABLE : failureReply(error));
    }
  }

  /** Ends a connection with a reply that refuses the request, and tells the reason. */
  #refuse(socket: Socket, reply: string): void {
    socket.end(reply);
    this.#onRefused?.(reply.trimEnd());
  }
}

function failureReply(error: unknown): string {
  return failedReply(errorCode(error) ?? 'EINTERNAL', shorten(toOneLine(errorMessage(error))));
}
