import { traceLine } from '../linux/trace.js';
import type { Channel, ChannelListener } from './channel.js';
import { PacketParser, XS } from './packet.js';

const NAMES = new Map<number, string>(Object.entries(XS).map(([name, type]) => [type, name]));

/** Cuts both directions of a channel into packets, and adds each to the trace. */
export class TracedChannel implements Channel {
  readonly #channel: Channel;
  readonly #sent = new PacketParser((...packet) => tell('>', ...packet));

  constructor(channel: Channel) {
    this.#channel = channel;
  }

  get maxPacketSize(): number {
    return this.#channel.maxPacketSize;
  }

  get window(): number {
    return this.#channel.window;
  }

  start(listener: ChannelListener): void {
    const received = new PacketParser((...packet) => tell('<', ...packet));
    this.#channel.start({
      onData: (bytes) => {
        received.push(bytes);
        listener.onData(bytes);
      },
      onLost: (reason) => {
        traceLine?.(`xenstore < lost: ${reason}`);
        listener.onLost(reason);
      },
    });
  }

  write(bytes: Buffer): void {
    this.#sent.push(bytes);
    this.#channel.write(bytes);
  }

  close(): void {
    this.#channel.close();
  }
}

/** `xenstore > 12 write backend/vbd/7/51712/diskseq|1f` */
function tell(direction: string, type: number, id: number, body: Buffer): undefined {
  const text = body.toString('latin1').replace(/\0$/, '').replaceAll('\0', '|');
  // No value breaks the line.
  const shown = text.replace(
    /[^\x20-\x7e]/g,
    (letter) => `\\x${letter.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
  traceLine?.(`xenstore ${direction} ${id} ${NAMES.get(type) ?? type} ${shown}`);
}
