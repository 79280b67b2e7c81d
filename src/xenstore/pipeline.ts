import { ERRNO } from '../util/errno.js';
import type { Channel, ChannelListener } from './channel.js';
import type { Exchange } from './exchange.js';
import { PacketParser, packetSize, writePacket, XS } from './packet.js';
import { decodeErrno, decodeTexts } from './payload.js';

/**
 * The number of bits of a request number that hold the slot, so there are at most 16 slots. The
 * other bits are a serial number, which tells a request from earlier ones in the same slot.
 */
const SLOT_BITS = 4;
const SLOT_MASK = (1 << SLOT_BITS) - 1;
const SERIAL_MAX = 0x0fff_ffff;
const NO_BODY = Buffer.alloc(0);

/** A place for one request under way. */
interface Slot {
  id: number;
  type: number;
  index: number;
  exchange: Exchange | undefined;
}

/** The receiver of what a pipeline does not settle itself. */
export interface PipelineListener {
  onEvent(path: string, token: string): void;
  /**
   * Learns that the connection is of no use any more. `reason` is a clause. Called at most once.
   */
  onLost(reason: string): void;
}

/**
 * The exchanges under way on one channel. The pipeline sends them in the order in which they were
 * submitted, many at a time, and takes replies in any order. It writes the packets of one turn of
 * the event loop together.
 */
export class Pipeline implements ChannelListener {
  readonly #channel: Channel;
  readonly #listener: PipelineListener;
  readonly #parser: PacketParser;
  /** One slot for each request that may be under way. */
  readonly #slots: readonly Slot[];
  readonly #free: Slot[];
  /** The exchanges with packets left to send. Only the first exchange sends any. */
  readonly #queue: Exchange[] = [];
  /**
   * The packets of this turn of the event loop. Each packet has a slot, so the buffer has room for
   * all of them.
   */
  readonly #batch: Buffer;
  #batched = 0;
  #serial = 0;
  #isOver = false;

  constructor(channel: Channel, listener: PipelineListener) {
    this.#channel = channel;
    this.#listener = listener;
    this.#slots = Array.from({ length: channel.window }, newSlot);
    this.#free = [...this.#slots];
    this.#batch = Buffer.allocUnsafeSlow(channel.window * channel.maxPacketSize);
    this.#parser = new PacketParser((type, id, body) => this.#take(type, id, body));
    channel.start(this);
  }

  /** Whether xenstored has begun a message and has not ended it. */
  get isWithinMessage(): boolean {
    return this.#parser.isWithinMessage;
  }

  submit(exchange: Exchange): void {
    this.#queue.push(exchange);
    this.#pump();
  }

  /**
   * Takes an exchange that no caller waits for any more out of the queue: its unsent packets are
   * never sent. An exchange that still has to send one, such as the end of a transaction, stays.
   */
  forget(exchange: Exchange): void {
    if (!exchange.isSent) return;
    const at = this.#queue.indexOf(exchange);
    if (at < 0) return;
    this.#queue.splice(at, 1);
    this.#pump();
  }

  /** Drops every exchange without a reply, and closes the channel. */
  close(): void {
    this.#isOver = true;
    this.#queue.length = 0;
    for (const slot of this.#slots) slot.exchange = undefined;
    this.#channel.close();
  }

  onData(bytes: Buffer): void {
    const fault = this.#parser.push(bytes);
    if (fault !== undefined) this.lose(`xenstored ${fault}`);
    else this.#pump();
  }

  onLost(reason: string): void {
    this.lose(this.isWithinMessage ? `${reason} in the middle of a message` : reason);
  }

  lose(reason: string): void {
    if (this.#isOver) return;
    this.close();
    this.#listener.onLost(reason);
  }

  /** Sends packets while a slot is free and the first exchange has one ready. */
  #pump(): void {
    while (this.#free.length > 0) {
      const first = this.#queue[0];
      if (!first || this.#isOver) return;
      if (first.isSent) this.#queue.shift();
      else if (first.advance()) this.#send(first);
      else return;
    }
  }

  #send(exchange: Exchange): void {
    const { type, head, tail, index } = exchange;
    if (packetSize(head, tail) > this.#channel.maxPacketSize) {
      exchange.reply(index, ERRNO.E2BIG, NO_BODY);
      return;
    }
    const slot = this.#free.pop();
    if (!slot) return;
    slot.id = this.#nextSerial() | (slot.id & SLOT_MASK);
    slot.id >>>= 0;
    slot.type = type;
    slot.index = index;
    slot.exchange = exchange;
    // The write follows in a microtask, after everything else that is sent in this turn.
    if (this.#batched === 0) queueMicrotask(() => this.#flush());
    this.#batched = writePacket(this.#batch, this.#batched, type, slot.id, exchange.tx, head, tail);
  }

  #nextSerial(): number {
    this.#serial = this.#serial === SERIAL_MAX ? 1 : this.#serial + 1;
    return this.#serial << SLOT_BITS;
  }

  #flush(): void {
    const length = this.#batched;
    this.#batched = 0;
    if (!this.#isOver) this.#channel.write(this.#batch.subarray(0, length));
  }

  #take(type: number, id: number, body: Buffer): string | undefined {
    // A listener may have closed the client in the middle of messages that arrived together.
    if (this.#isOver) return undefined;
    if (type === XS.watchEvent) return this.#event(body);
    const slot = this.#slots[id & SLOT_MASK];
    const exchange = slot?.exchange;
    if (!exchange || slot.id !== id) {
      return `sent a reply that nobody waits for (type ${type}, request ${id})`;
    }
    if (type !== slot.type && type !== XS.error) {
      return `answered a request of type ${slot.type} with type ${type}`;
    }
    slot.exchange = undefined;
    this.#free.push(slot);
    const fault =
      type === XS.error
        ? exchange.reply(slot.index, decodeErrno(body), NO_BODY)
        : exchange.reply(slot.index, 0, body);
    // The reply may show that more is needed, although the exchange had sent everything. Such an
    // exchange goes before those that wait.
    if (!exchange.isSent && !this.#queue.includes(exchange)) this.#queue.unshift(exchange);
    return fault;
  }

  #event(body: Buffer): string | undefined {
    const [path, token] = decodeTexts(body);
    if (path === undefined || token === undefined) return 'sent a watch event without a token';
    this.#listener.onEvent(path, token);
    return undefined;
  }
}

function newSlot(_: unknown, index: number): Slot {
  return { id: index, type: 0, index: 0, exchange: undefined };
}
