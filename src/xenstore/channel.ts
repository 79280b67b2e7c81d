/**
 * What stands below a client: a stream of bytes to a xenstored and back. AddonChannel is one, and a
 * connection to the store in memory, which tests use, is another.
 */
export interface Channel {
  /** The longest packet that can be sent, header included. */
  readonly maxPacketSize: number;
  /** How many requests may be under way at a time. */
  readonly window: number;
  /** Begins to receive. Called once, before anything else. */
  start(listener: ChannelListener): void;
  /** Sends whole packets. `bytes` may be used for something else afterwards. */
  write(bytes: Buffer): void;
  /** Gives everything back at once; the listener is not called any more. Idempotent. */
  close(): void;
}

export interface ChannelListener {
  /** Whatever has come. `bytes` is valid during the call only. */
  onData(bytes: Buffer): void;
  /** The stream has ended; `reason` is a clause of which xenstored or the connection is the subject. */
  onLost(reason: string): void;
}
