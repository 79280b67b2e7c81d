/**
 * The XenStore client interface and its promises. One client keeps them over any channel (client.ts):
 * over xenstored's socket or device (open.ts), and over a store in memory, which tests use. One contract
 * suite (test/contract) holds it to them on both.
 *
 * - Paths, values and tokens are checked before anything is sent (path.ts); a bad one rejects with
 *   `EINVAL`, or `E2BIG` where only the length is at fault.
 * - Values are bytes. A string is written as UTF-8; `readText` decodes.
 * - Requests of one client are served in the order in which they were made.
 * - An aborted signal rejects the caller at once with the signal's reason; whether xenstored still
 *   carries the request out is unknown.
 * - Every request rejects with `ETIMEDOUT` when xenstored has not answered within the client's
 *   request timeout.
 * - When the connection is lost, every pending request rejects with `ECONNRESET`, every watch's
 *   `onLost` is called once, and every later request rejects with `ECONNRESET`. A client does not
 *   reconnect: its watches and transactions died with the connection, so its owner must start over.
 * - `close()` may be called any number of times; pending requests reject with `ECLOSED`.
 */
export interface Xenstore extends AsyncDisposable {
  /** The value of a node. Rejects with `ENOENT` where there is none. */
  read(path: string, options?: RequestOptions): Promise<Buffer>;
  /** Many values in one trip; `undefined` for a node that does not exist. Not atomic. */
  readMany(paths: readonly string[], options?: RequestOptions): Promise<(Buffer | undefined)[]>;
  /** Sets a node's value; missing parents are made. */
  write(path: string, value: Value, options?: RequestOptions): Promise<void>;
  /** Makes an empty node; an existing one is left as it is. */
  mkdir(path: string, options?: RequestOptions): Promise<void>;
  /** Removes a node and everything below it; a node that does not exist is fine. */
  remove(path: string, options?: RequestOptions): Promise<void>;
  /** Names of a node's children. Rejects with `ENOENT` where there is no such node. */
  directory(path: string, options?: RequestOptions): Promise<string[]>;
  getPermissions(path: string, options?: RequestOptions): Promise<Permission[]>;
  /** The first entry names the owner, and what domains not listed may do. */
  setPermissions(
    path: string,
    permissions: readonly Permission[],
    options?: RequestOptions,
  ): Promise<void>;
  /**
   * Watches a node and everything below it. The listener is called once soon after registration and
   * then for every change, possibly more often; it is told which path changed, never the value.
   * Removing an ancestor is reported as a change of the watched path itself.
   */
  watch(path: string, listener: WatchListener, options?: WatchOptions): Promise<Watch>;
  /**
   * Runs `body` in a transaction: again when the commit meets a conflict (`EAGAIN`), at most
   * `attempts` times (default 16), with a random pause in between. When `body` throws, the
   * transaction is aborted and the error passed on.
   */
  transaction<T>(
    body: (transaction: Transaction) => Promise<T>,
    options?: TransactionOptions,
  ): Promise<T>;
  /**
   * A whole transaction that is known from the start, in three trips: the steps run in order; the
   * first expectation that does not hold aborts it and is reported, nothing being changed. Nor is
   * anything changed where a step is refused. Conflicts are retried as above.
   */
  transact(
    steps: readonly TransactionStep[],
    options?: TransactOptions,
  ): Promise<TransactionOutcome>;
  /** Gives the connection back. Idempotent. */
  close(): Promise<void>;
}

/** What can be done inside a transaction; the same as outside, seen and made atomically. */
export type Transaction = Pick<
  Xenstore,
  | 'read'
  | 'readMany'
  | 'write'
  | 'mkdir'
  | 'remove'
  | 'directory'
  | 'getPermissions'
  | 'setPermissions'
>;

/** What a node can be given; a text is written as UTF-8. */
export type Value = Uint8Array | string;

/** What every request can be told. */
export interface RequestOptions {
  readonly signal?: AbortSignal | undefined;
}

/** What a transaction can be told. */
export interface TransactionOptions extends RequestOptions {
  readonly attempts?: number;
}

/** What `transact` can be told. */
export interface TransactOptions extends TransactionOptions {
  /**
   * Asked in each attempt when all steps hold, just before the commit is sent: for what XenStore does not
   * know, but must hold together with it. With `false` nothing is changed, and the outcome's `failed` is
   * the number of steps. An attempt for which it was not asked has changed nothing.
   */
  readonly confirm?: (() => boolean) | undefined;
}

/** What a watch can be told. */
export interface WatchOptions extends RequestOptions {
  /**
   * Later watches of this client below `path` are served from the events of this one: they cost
   * xenstored, its quota and a trip nothing. This one has to outlive them; when it is closed they
   * are told that they are lost (`ECLOSED`).
   */
  readonly covering?: boolean | undefined;
}

/** One step of `transact`. */
export type TransactionStep =
  /** Goes on only if the node has exactly this value; `undefined`: only if it does not exist. */
  | { readonly op: 'expect'; readonly path: string; readonly value: Value | undefined }
  /** Goes on only if the node exists. */
  | { readonly op: 'exists'; readonly path: string }
  | { readonly op: 'write'; readonly path: string; readonly value: Value }
  /** A node that does not exist is fine. */
  | { readonly op: 'remove'; readonly path: string };

/** What has come of `transact`. */
export type TransactionOutcome =
  | { readonly committed: true }
  /** `failed` is the index of the step that did not hold, `found` what stood there instead. */
  | { readonly committed: false; readonly failed: number; readonly found: Buffer | undefined };

/** `access` as in xenstore-chmod: `n` none, `r` read, `w` write, `b` both. */
export interface Permission {
  readonly domid: number;
  readonly access: 'n' | 'r' | 'w' | 'b';
}

/** Who is told of what a watch sees. */
export interface WatchListener {
  onEvent(path: string): void;
  /**
   * The connection is gone, or (`ECLOSED`) the client was closed: no event will come any more. Not
   * called after `Watch.close()`.
   */
  onLost(error: Error): void;
}

/** A watch that xenstored has taken. */
export interface Watch extends AsyncDisposable {
  readonly path: string;
  /** No event is delivered after this was called. Idempotent; never rejects. */
  close(): Promise<void>;
}
