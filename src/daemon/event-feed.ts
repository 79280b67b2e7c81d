import type { Socket } from 'node:net';
import { errorMessage } from '../errors.js';
import { randomHex } from '../linux/calls.js';
import { shorten, toOneLine } from '../util/one-line.js';
import type { GuestNames } from './guest-names.js';
import { ENDED, type EventsStart, eventLine, failedReply, snapshotEndJson } from './protocol.js';
import type { FeedEvent } from './vbd-event.js';

/**
 * The largest number of readers, which are people and monitors. Every reader costs work at every
 * step of every vbd.
 */
const MOST_READERS = 32;
/**
 * Bytes that may wait for a reader that does not read, beside the bytes in the kernel's buffers.
 */
const MOST_UNREAD = 1024 * 1024;
/** The number of events that are remembered for readers that come back. */
const MOST_REMEMBERED = 1024;

interface Numbered {
  readonly seq: number;
  readonly event: FeedEvent;
}

interface Reader {
  readonly socket: Socket;
  /** The number of the last event before this reader came. The reader gets every later event. */
  readonly from: number;
  /**
   * Lines that wait until the reader has got the snapshot or the missed events. `undefined` when
   * nothing needs to wait.
   */
  held: string[] | undefined;
}

/** Options of an `EventFeed`. */
export interface FeedOptions {
  readonly names: GuestNames;
  /** Reads the condition of every vbd at a moment after the call. */
  readonly snapshot: () => Promise<readonly { event: FeedEvent; domain: string | undefined }[]>;
  readonly mostUnread?: number;
}

/** The distributor of events. It sends each event to every reader at once. */
export class EventFeed {
  /** Identifies this run of the daemon. Every run numbers its events from 1. */
  readonly run = randomHex(8);
  readonly #options: FeedOptions;
  readonly #readers = new Set<Reader>();
  readonly #remembered: Numbered[] = [];
  /** An event that waits for the name of its guest, and all later events. */
  readonly #waiting: Numbered[] = [];
  #seq = 0;

  constructor(options: FeedOptions) {
    this.#options = options;
    options.names.onKnown = () => this.#flush();
  }

  /** The number of readers. */
  get readers(): number {
    return this.#readers.size;
  }

  /**
   * Adds a reader, which gets `greeting` first. Returns `false`, and adds nothing, if there are too
   * many readers already.
   */
  add(socket: Socket, greeting: string, start: EventsStart | undefined): boolean {
    if (this.#readers.size >= MOST_READERS) return false;
    const reader: Reader = { socket, from: this.#seq, held: start && [] };
    this.#readers.add(reader);
    socket.once('close', () => this.#readers.delete(reader));
    socket.write(greeting);
    if (start !== undefined) void this.#catchUp(reader, start);
    return true;
  }

  /** Sends an event to all readers. Never waits, and cuts off a reader that lags too far behind. */
  publish(event: FeedEvent): void {
    const numbered = { seq: ++this.#seq, event };
    this.#remembered.push(numbered);
    if (this.#remembered.length > MOST_REMEMBERED) this.#remembered.shift();
    if (this.#readers.size === 0) return;
    this.#waiting.push(numbered);
    this.#flush();
  }

  /** Tells every reader that no more events come, and ends the connections. */
  end(): void {
    this.#flush(true);
    for (const { socket } of this.#readers) socket.end(ENDED);
  }

  #flush(isEnd = false): void {
    for (;;) {
      const [next] = this.#waiting;
      if (next === undefined) return;
      const known = this.#options.names.get(next.event.vbd.domid);
      if (known === undefined && !isEnd) return;
      this.#waiting.shift();
      const line = this.#lineOf(next, known?.name);
      for (const reader of this.#readers) if (next.seq > reader.from) this.#send(reader, line);
    }
  }

  #send({ socket, held }: Reader, line: string): void {
    const unread = socket.writableLength + (held?.reduce((sum, text) => sum + text.length, 0) ?? 0);
    if (unread > (this.#options.mostUnread ?? MOST_UNREAD)) socket.destroy();
    else if (held === undefined) socket.write(line);
    else held.push(line);
  }

  /**
   * Sends a new reader the events that it missed, or a snapshot. Events that happen meanwhile are
   * held back for this reader.
   */
  async #catchUp(reader: Reader, start: EventsStart): Promise<void> {
    const { socket, from } = reader;
    try {
      for (const line of this.#missedSince(start, from) ?? (await this.#snapshot(from))) {
        socket.write(line);
      }
    } catch (error) {
      socket.end(failedReply('EUNAVAILABLE', shorten(toOneLine(errorMessage(error)))));
      return;
    }
    for (const line of reader.held ?? []) socket.write(line);
    reader.held = undefined;
  }

  /**
   * Returns the lines of all missed events. Returns `undefined` if not all of them are remembered,
   * or if the reader's last event was one of another run.
   */
  #missedSince({ after }: EventsStart, upTo: number): string[] | undefined {
    if (after?.run !== this.run || after.seq > upTo) return undefined;
    const missed = this.#remembered.filter(({ seq }) => seq > after.seq && seq <= upTo);
    if (missed.length < upTo - after.seq) return undefined;
    return missed.map((one) =>
      this.#lineOf(one, this.#options.names.get(one.event.vbd.domid)?.name),
    );
  }

  async #snapshot(seq: number): Promise<string[]> {
    const { run } = this;
    const vbds = await this.#options.snapshot();
    const lines = vbds.map(({ event, domain }) => eventLine(event, { run, seq, domain }));
    return [...lines, `event ${snapshotEndJson({ run, seq }, vbds.length)}\n`];
  }

  #lineOf({ seq, event }: Numbered, domain: string | undefined): string {
    return eventLine(event, { run: this.run, seq, domain });
  }
}
