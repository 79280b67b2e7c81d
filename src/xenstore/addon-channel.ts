import { type Addon, loadAddon, type AddonChannel as Native } from '../linux/addon.js';
import { errnoName } from '../linux/errno.js';
import { ERRNO } from '../util/errno.js';
import type { Channel, ChannelListener } from './channel.js';
import { HEADER_SIZE, PAYLOAD_MAX } from './packet.js';

/** Bytes of one read(2): enough for the replies to ten requests together with many events. */
const READ_SIZE = 65_536;

/**
 * Errors that mean that xenstored is gone: `EPIPE` at the next write, or `ECONNRESET` together with
 * data that xenstored has not read.
 */
const HUNG_UP: readonly string[] = ['EPIPE', 'ECONNRESET'];
const CLOSED = 'xenstored closed it';

interface Limits {
  readonly maxPacketSize: number;
  readonly window: number;
}

/**
 * xenstored accepts 20 requests of a domain before it stops reading from that domain. Ten requests
 * leave room.
 */
const SOCKET: Limits = { maxPacketSize: HEADER_SIZE + PAYLOAD_MAX, window: 10 };
/**
 * The kernel gathers each packet in one buffer of 4096 bytes
 * (drivers/xen/xenbus/xenbus_dev_frontend.c) and sends the request from there. It does not wait
 * until the request is sent. A second packet that is written before the reply to the first one may
 * therefore overwrite the first one. (Seen with Linux 6.1: of 300 nodes that were made ten at a
 * time, seven were missing.)
 */
const DEVICE: Limits = { maxPacketSize: 4096, window: 1 };

/** A channel over xenstored's socket or over /dev/xen/xenbus. */
export class AddonChannel implements Channel {
  readonly #memory = Buffer.allocUnsafeSlow(READ_SIZE);
  readonly #native: Native;
  #limits = SOCKET;
  #listener: ChannelListener | undefined;
  /** Bytes that the socket has not accepted yet. They are few, as few requests are under way. */
  #unsent: Buffer | undefined;

  /**
   * Connects to the socket, or opens the device, at `path`. Returns a positive errno on failure.
   */
  static open(path: string, addon: Pick<Addon, 'Channel'> = loadAddon()): AddonChannel | number {
    const channel = new AddonChannel(addon);
    const outcome = channel.#native.open(path);
    if (outcome < 0) {
      channel.close();
      return -outcome;
    }
    if (outcome === 1) channel.#limits = DEVICE;
    return channel;
  }

  private constructor({ Channel }: Pick<Addon, 'Channel'>) {
    this.#native = new Channel(
      this.#memory,
      (count) => this.#onRead(count),
      () => this.#onWritable(),
    );
  }

  get maxPacketSize(): number {
    return this.#limits.maxPacketSize;
  }

  get window(): number {
    return this.#limits.window;
  }

  start(listener: ChannelListener): void {
    this.#listener = listener;
    const outcome = this.#native.start();
    if (outcome === -ERRNO.EPERM)
      this.#fail('it is neither a socket nor the device of XenStore', outcome);
    else if (outcome < 0) this.#fail('it cannot be polled', outcome);
  }

  /**
   * Sends packets. On the device, the kernel waits within write(2) for the reply to XS_WATCH and
   * XS_UNWATCH, and nothing in this process can end that wait.
   */
  write(bytes: Buffer): void {
    if (this.#unsent) this.#unsent = Buffer.concat([this.#unsent, bytes]);
    else this.#writeAll(bytes);
  }

  close(): void {
    this.#listener = undefined;
    this.#unsent = undefined;
    this.#native.close();
  }

  #writeAll(bytes: Buffer): void {
    const taken = this.#native.write(bytes);
    if (taken < 0) {
      this.#fail('writing to it failed', taken);
    } else if (taken < bytes.length) {
      this.#unsent = Buffer.from(bytes.subarray(taken));
      this.#native.awaitWritable();
    }
  }

  #onRead(count: number): void {
    if (count > 0) this.#listener?.onData(this.#memory.subarray(0, count));
    else if (count < 0) this.#fail('reading from it failed', count);
    else this.#listener?.onLost(CLOSED);
  }

  #onWritable(): void {
    const unsent = this.#unsent;
    this.#unsent = undefined;
    if (unsent) this.#writeAll(unsent);
  }

  #fail(what: string, errno: number): void {
    // Deferred: the listener must not be called from inside a call that it has made itself.
    const listener = this.#listener;
    const code = errnoName(-errno);
    const reason = HUNG_UP.includes(code) ? CLOSED : `${what}: ${code}`;
    queueMicrotask(() => {
      if (this.#listener === listener) listener?.onLost(reason);
    });
  }
}
