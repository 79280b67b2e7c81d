import type { Channel, ChannelListener } from '../../src/xenstore/channel.js';
import { cutRequests, makeMessage, type RequestMessage, strings } from './server-messages.js';

const XS_WATCH_EVENT = 15;
const XS_ERROR = 16;

/** A channel whose other end is the test, which sees the requests and sends any answers. */
export class ScriptedChannel implements Channel {
  readonly maxPacketSize: number;
  readonly window: number;
  /** For each write in order, its requests. */
  readonly writes: RequestMessage[][] = [];
  #listener: ChannelListener | undefined;

  constructor({ maxPacketSize = 4112, window = 10 } = {}) {
    this.maxPacketSize = maxPacketSize;
    this.window = window;
  }

  get requests(): RequestMessage[] {
    return this.writes.flat();
  }

  get isClosed(): boolean {
    return this.#listener === undefined;
  }

  start(listener: ChannelListener): void {
    this.#listener = listener;
  }

  write(bytes: Buffer): void {
    this.writes.push(cutRequests(bytes));
  }

  close(): void {
    this.#listener = undefined;
  }

  /** Answers a request with terminated strings. */
  answer({ type, id, tx }: RequestMessage, ...texts: readonly string[]): void {
    this.send(makeMessage(type, id, tx, strings(...texts)));
  }

  /** Answers a read with a value. */
  give({ type, id, tx }: RequestMessage, value: string): void {
    this.send(makeMessage(type, id, tx, Buffer.from(value)));
  }

  refuse({ id, tx }: RequestMessage, code: string): void {
    this.send(makeMessage(XS_ERROR, id, tx, strings(code)));
  }

  event(path: string, token: string): void {
    this.send(makeMessage(XS_WATCH_EVENT, 0, 0, strings(path, token)));
  }

  send(bytes: Buffer): void {
    this.#listener?.onData(bytes);
  }

  lose(reason: string): void {
    this.#listener?.onLost(reason);
  }
}
