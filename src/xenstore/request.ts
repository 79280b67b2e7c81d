import { ERRNO } from '../util/errno.js';
import { Exchange, type ExchangeOptions } from './exchange.js';
import { type Tail, XS } from './packet.js';
import { decodeNumber, decodeTexts } from './payload.js';
import { decodePermissions } from './permissions.js';
import type { Permission } from './xenstore.js';

/** The result of each operation that takes one packet. */
export interface Results {
  read: Buffer;
  write: undefined;
  mkdir: undefined;
  remove: undefined;
  getPermissions: Permission[];
  setPermissions: undefined;
  watch: undefined;
  unwatch: undefined;
  /** The number of the transaction. */
  start: number;
  end: undefined;
}

export type RequestName = keyof Results;

interface Kind<T> {
  readonly type: number;
  /** Returns the result that a body holds, or a fault where it holds none. */
  readonly decode: (body: Buffer) => T | Fault;
}

class Fault {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

const nothing = (): undefined => undefined;

const KINDS: { readonly [N in RequestName]: Kind<Results[N]> } = {
  // A copy, because the body is part of a buffer that the next read overwrites.
  read: { type: XS.read, decode: (body) => Buffer.from(body) },
  write: { type: XS.write, decode: nothing },
  mkdir: { type: XS.mkdir, decode: nothing },
  remove: { type: XS.remove, decode: nothing },
  getPermissions: {
    type: XS.getPermissions,
    decode: (body) =>
      decodePermissions(decodeTexts(body)) ?? new Fault('sent permissions that make no sense'),
  },
  setPermissions: { type: XS.setPermissions, decode: nothing },
  watch: { type: XS.watch, decode: nothing },
  unwatch: { type: XS.unwatch, decode: nothing },
  start: {
    type: XS.transactionStart,
    decode: (body) => {
      const tx = decodeNumber(body);
      return tx > 0 ? tx : new Fault('sent a transaction number that makes no sense');
    },
  },
  end: { type: XS.transactionEnd, decode: nothing },
};

/** Requests that give something back. They are sent even if no caller waits for them any more. */
const ALWAYS_SENT: ReadonlySet<RequestName> = new Set(['end', 'unwatch']);

/** The exchange of an operation that takes one packet. */
export class Request<N extends RequestName> extends Exchange<Results[N]> {
  readonly #name: N;
  #sent = false;

  constructor(
    name: N,
    path: string,
    head: string,
    tail: Tail,
    options: ExchangeOptions<Results[N]>,
  ) {
    super(name, path, options);
    this.#name = name;
    this.type = KINDS[name].type;
    this.head = head;
    this.tail = tail;
  }

  override get isSent(): boolean {
    return this.#sent || !(this.isAwaited || ALWAYS_SENT.has(this.#name));
  }

  override advance(): boolean {
    this.#sent = true;
    return true;
  }

  override reply(_index: number, errno: number, body: Buffer): string | undefined {
    const { decode } = KINDS[this.#name];
    // xenstored accepts the removal of a missing node only where the parent of that node exists.
    // Here, the removal of a missing node always succeeds.
    const isGone = errno === ERRNO.ENOENT && this.type === XS.remove;
    if (errno !== 0 && !isGone) {
      this.fail(this.op, this.path, errno);
      return undefined;
    }
    const value = decode(body);
    if (value instanceof Fault) return value.text;
    this.succeed(value);
    return undefined;
  }
}
