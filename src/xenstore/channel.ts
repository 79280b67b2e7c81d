/**
 * A stream of bytes to a xenstored and back, over which a client runs. AddonChannel implements it.
 * A connection to the store in memory, which tests use, implements it too.
 */
export interface Channel {
  /** The size in bytes of the longest packet that can be sent, header included. */
  readonly maxPacketSize: number;
  /** The number of requests that may be under way at a time. */
  readonly window: number;
  /** Begins to receive. The client calls it once, before any other method. */
  start(listener: ChannelListener): void;
  /** Sends whole packets. The caller may use `bytes` for something else afterwards. */
  write(bytes: Buffer): void;
  /** Closes the connection at once. The listener is not called any more. Idempotent. */
  close(): void;
}

/** The receiver of what a channel reads. */
export interface ChannelListener {
  /** Takes the bytes that have arrived. `bytes` is valid during the call only. */
  onData(bytes: Buffer): void;
  /**
   * Learns that the stream has ended. `reason` is a clause whose subject is xenstored or the
   * connection.
   */
  onLost(reason: string): void;
}
