import type { Socket } from 'node:net';
import { ENDED, eventLine } from './protocol.js';
import type { VbdEvent } from './vbd-event.js';

/** People and monitors; each costs work for every step of every vbd. */
const MOST_READERS = 32;
/** Bytes that wait for a reader who does not read, beside what the kernel holds for it. */
const MOST_UNREAD = 1024 * 1024;

/** Hands on what happens to vbds, as it happens, to everybody who wants to know. */
export class EventFeed {
  readonly #readers = new Set<Socket>();
  readonly #mostUnread: number;

  constructor(mostUnread = MOST_UNREAD) {
    this.#mostUnread = mostUnread;
  }

  /** How many there are. */
  get readers(): number {
    return this.#readers.size;
  }

  /** Takes a reader on; returns whether there was room for one more. */
  add(reader: Socket): boolean {
    if (this.#readers.size >= MOST_READERS) return false;
    this.#readers.add(reader);
    reader.once('close', () => this.#readers.delete(reader));
    return true;
  }

  /** Never waits: a reader who lags too far behind is cut off. */
  publish(event: VbdEvent): void {
    if (this.#readers.size === 0) return;
    const line = eventLine(event);
    for (const reader of this.#readers) {
      if (reader.writableLength > this.#mostUnread) reader.destroy();
      else reader.write(line);
    }
  }

  /** Says that nothing more will come. */
  end(): void {
    for (const reader of this.#readers) reader.end(ENDED);
  }
}
