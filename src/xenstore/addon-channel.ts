import { type Addon, loadAddon, type AddonChannel as Native } from '../linux/addon.js';
import { errnoName } from '../linux/errno.js';
import type { Channel, ChannelListener } from './channel.js';
import { HEADER_SIZE, PAYLOAD_MAX, sizeOfPacket } from './packet.js';

/** Bytes of one read(2): all the replies that ten requests can have, and many events. */
const READ_SIZE = 65_536;
const SOCKET_PACKET_MAX = HEADER_SIZE + PAYLOAD_MAX;
/** The kernel gathers a packet in a buffer of this size (drivers/xen/xenbus/xenbus_dev_frontend.c). */
const DEVICE_PACKET_MAX = 4096;

/** A channel over xenstored's socket or over /dev/xen/xenbus. */
export class AddonChannel implements Channel {
  readonly #memory = Buffer.allocUnsafeSlow(READ_SIZE);
  readonly #native: Native;
  #isDevice = false;
  #listener: ChannelListener | undefined;
  /** What the socket has not taken yet. The client has few requests under way, so it is never long. */
  #unsent: Buffer | undefined;

  /** Connects to the socket, or opens the device, at `path`; returns an errno on failure. */
  static open(path: string, addon = loadAddon()): AddonChannel | number {
    const channel = new AddonChannel(addon);
    const outcome = channel.#native.open(path);
    if (outcome < 0) {
      channel.close();
      return -outcome;
    }
    channel.#isDevice = outcome === 1;
    return channel;
  }

  private constructor({ Channel }: Addon) {
    this.#native = new Channel(
      this.#memory,
      (count) => this.#onRead(count),
      () => this.#onWritable(),
    );
  }

  get maxPacketSize(): number {
    return this.#isDevice ? DEVICE_PACKET_MAX : SOCKET_PACKET_MAX;
  }

  start(listener: ChannelListener): void {
    this.#listener = listener;
    const outcome = this.#native.start();
    if (outcome < 0) this.#fail('it cannot be polled', outcome);
  }

  write(bytes: Buffer): void {
    if (this.#unsent) this.#unsent = Buffer.concat([this.#unsent, bytes]);
    else if (this.#isDevice) this.#writeEach(bytes);
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

  /**
   * The device takes one packet with each write(2), and drops what else is in it. It never says that
   * it can be written to, nor that it cannot. For XS_WATCH and XS_UNWATCH the kernel itself waits for
   * xenstored's answer within write(2), and nothing of ours can end that.
   */
  #writeEach(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; ) {
      const end = at + sizeOfPacket(bytes, at);
      const taken = this.#native.write(bytes.subarray(at, end));
      if (taken !== end - at) {
        this.#fail('writing to it failed', Math.min(taken, 0));
        return;
      }
      at = end;
    }
  }

  #onRead(count: number): void {
    if (count > 0) this.#listener?.onData(this.#memory.subarray(0, count));
    else if (count < 0) this.#fail('reading from it failed', count);
    else this.#listener?.onLost('xenstored closed it');
  }

  #onWritable(): void {
    const unsent = this.#unsent;
    this.#unsent = undefined;
    if (unsent) this.#writeAll(unsent);
  }

  #fail(what: string, errno: number): void {
    // Not from inside a call of the listener's own.
    const listener = this.#listener;
    const reason = errno === 0 ? `${what}: not all was taken` : `${what}: ${errnoName(-errno)}`;
    queueMicrotask(() => {
      if (this.#listener === listener) listener?.onLost(reason);
    });
  }
}
