import type { Socket } from 'node:net';
import { errorMessage } from '../errors.js';
import { randomHex } from '../linux/calls.js';
import { shorten, toOneLine } from '../util/one-line.js';
import type { GuestNames } from './guest-names.js';
import { ENDED, type EventsStart, eventLine, failedReply, snapshotEndJson } from './protocol.js';
import type { FeedEvent } from './vbd-event.js';

/** People and monitors; each costs work for every step of every vbd. */
const MOST_READERS = 32;
/** Bytes that wait for a reader who does not read, beside what the kernel holds for it. */
const MOST_UNREAD = 1024 * 1024;
/** Events that are remembered for readers who come back. */
const MOST_REMEMBERED = 1024;

interface Numbered {
  readonly seq: number;
  readonly event: FeedEvent;
}

interface Reader {
  readonly socket: Socket;
  /** It gets what comes after that. */
  readonly from: number;
  /** What waits until it has what comes first; `undefined` once it has. */
  held: string[] | undefined;
}

export interface FeedOptions {
  readonly names: GuestNames;
  /** How every vbd is at a moment after the call. */
  readonly snapshot: () => Promise<readonly { event: FeedEvent; domain: string | undefined }[]>;
  readonly mostUnread?: number;
}

/** Hands on what happens to vbds, as it happens, to everybody who wants to know. */
export class EventFeed {
  /** Tells this run of the daemon from others, whose events are numbered anew. */
  readonly run = randomHex(8);
  readonly #options: FeedOptions;
  readonly #readers = new Set<Reader>();
  readonly #remembered: Numbered[] = [];
  /** What waits for the name of its guest, and what came after that. */
  readonly #waiting: Numbered[] = [];
  #seq = 0;

  constructor(options: FeedOptions) {
    this.#options = options;
    options.names.onKnown = () => this.#flush();
  }

  /** How many there are. */
  get readers(): number {
    return this.#readers.size;
  }

  /** Takes a reader on; returns whether there was room for one more. */
  add(socket: Socket, greeting: string, start: EventsStart | undefined): boolean {
    if (this.#readers.size >= MOST_READERS) return false;
    const reader: Reader = { socket, from: this.#seq, held: start && [] };
    this.#readers.add(reader);
    socket.once('close', () => this.#readers.delete(reader));
    socket.write(greeting);
    if (start !== undefined) void this.#catchUp(reader, start);
    return true;
  }

  /** Never waits: a reader who lags too far behind is cut off. */
  publish(event: FeedEvent): void {
    const numbered = { seq: ++this.#seq, event };
    this.#remembered.push(numbered);
    if (this.#remembered.length > MOST_REMEMBERED) this.#remembered.shift();
    if (this.#readers.size === 0) return;
    this.#waiting.push(numbered);
    this.#flush();
  }

  /** Says that nothing more will come. */
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

  /** What happens meanwhile is held back for this reader. */
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

  /** `undefined` where not all of it is remembered, or where it was another run's. */
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
