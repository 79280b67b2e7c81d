/** Types of the messages (xs_wire.h) that this client sends or takes. */
export const XS = {
  directory: 1,
  read: 2,
  getPermissions: 3,
  watch: 4,
  unwatch: 5,
  transactionStart: 6,
  transactionEnd: 7,
  write: 11,
  mkdir: 12,
  remove: 13,
  setPermissions: 14,
  watchEvent: 15,
  error: 16,
  directoryPart: 22,
} as const;

/**
 * Bytes of a header: four 32-bit numbers, which are type, request, transaction and payload length.
 */
export const HEADER_SIZE = 16;
/** Bytes of one message without its header (XENSTORE_PAYLOAD_MAX). */
export const PAYLOAD_MAX = 4096;

const KNOWN: ReadonlySet<number> = new Set(Object.values(XS));
/**
 * Whether this machine is little-endian. The header is in the byte order of the machine, because it
 * once was a structure in shared memory.
 */
const LITTLE = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

const readNumber = LITTLE
  ? (bytes: Buffer, at: number): number => bytes.readUInt32LE(at)
  : (bytes: Buffer, at: number): number => bytes.readUInt32BE(at);
const writeNumber = LITTLE
  ? (bytes: Buffer, value: number, at: number): number => bytes.writeUInt32LE(value, at)
  : (bytes: Buffer, value: number, at: number): number => bytes.writeUInt32BE(value, at);

/** The part of a payload that follows its first string and the terminator. A string is ASCII. */
export type Tail = Uint8Array | string | undefined;

/** Returns the size in bytes of the packet that `writePacket` makes. */
export function packetSize(head: string, tail: Tail): number {
  return HEADER_SIZE + head.length + 1 + (tail?.length ?? 0);
}

/**
 * Writes one packet into `bytes` at the offset `at`, and returns the offset where the packet ends.
 * Adds a terminator to `head`, which is ASCII.
 */
export function writePacket(
  bytes: Buffer,
  at: number,
  type: number,
  id: number,
  tx: number,
  head: string,
  tail: Tail,
): number {
  const size = packetSize(head, tail);
  writeNumber(bytes, type, at);
  writeNumber(bytes, id, at + 4);
  writeNumber(bytes, tx, at + 8);
  writeNumber(bytes, size - HEADER_SIZE, at + 12);
  const terminator = at + HEADER_SIZE + head.length;
  bytes.write(head, at + HEADER_SIZE, 'latin1');
  bytes[terminator] = 0;
  if (typeof tail === 'string') bytes.write(tail, terminator + 1, 'latin1');
  else if (tail !== undefined) bytes.set(tail, terminator + 1);
  return at + size;
}

/** Returns the size in bytes of the packet that begins at the offset `at` of `bytes`. */
function sizeOfPacket(bytes: Buffer, at: number): number {
  return HEADER_SIZE + readNumber(bytes, at + 12);
}

/**
 * A function that takes one message. `body` is valid during the call only. For a message that makes
 * no sense, the function returns a fault: words that go on after "xenstored".
 */
export type TakePacket = (type: number, id: number, body: Buffer) => string | undefined;

/** A parser that cuts a stream of bytes into messages. */
export class PacketParser {
  readonly #take: TakePacket;
  /** The beginning of a message whose end has not arrived yet. */
  readonly #partial = Buffer.alloc(HEADER_SIZE + PAYLOAD_MAX);
  #held = 0;

  constructor(take: TakePacket) {
    this.#take = take;
  }

  /** Whether the parser holds the beginning of a message that has not ended. */
  get isWithinMessage(): boolean {
    return this.#held > 0;
  }

  /**
   * Takes the next bytes of the stream. Returns the first fault: an unknown type, an overlong
   * message, or the fault that the function for messages returned. The caller must push nothing
   * after a fault.
   */
  push(chunk: Buffer): string | undefined {
    let at = 0;
    if (this.#held > 0) {
      at = this.#fill(chunk, at, HEADER_SIZE);
      if (this.#held < HEADER_SIZE) return undefined;
      const fault = headerFault(this.#partial, 0);
      if (fault !== undefined) return fault;
      const size = sizeOfPacket(this.#partial, 0);
      at = this.#fill(chunk, at, size);
      if (this.#held < size) return undefined;
      this.#held = 0;
      const refusal = this.#give(this.#partial, 0, size);
      if (refusal !== undefined) return refusal;
    }
    while (chunk.length - at >= HEADER_SIZE) {
      const fault = headerFault(chunk, at);
      if (fault !== undefined) return fault;
      const end = at + sizeOfPacket(chunk, at);
      if (end > chunk.length) break;
      const refusal = this.#give(chunk, at, end);
      if (refusal !== undefined) return refusal;
      at = end;
    }
    this.#held = chunk.copy(this.#partial, 0, at);
    return undefined;
  }

  /**
   * Copies from the chunk until the held message has `size` bytes. Returns where the rest of the
   * chunk begins.
   */
  #fill(chunk: Buffer, at: number, size: number): number {
    if (this.#held >= size) return at;
    const copied = chunk.copy(this.#partial, this.#held, at, at + size - this.#held);
    this.#held += copied;
    return at + copied;
  }

  #give(bytes: Buffer, at: number, end: number): string | undefined {
    const body = bytes.subarray(at + HEADER_SIZE, end);
    return this.#take(readNumber(bytes, at), readNumber(bytes, at + 4), body);
  }
}

function headerFault(bytes: Buffer, at: number): string | undefined {
  const type = readNumber(bytes, at);
  if (!KNOWN.has(type)) return `sent a message of the unknown type ${type}`;
  const length = readNumber(bytes, at + 12);
  return length > PAYLOAD_MAX
    ? `sent a message of ${length} bytes, where at most ${PAYLOAD_MAX} are allowed`
    : undefined;
}
