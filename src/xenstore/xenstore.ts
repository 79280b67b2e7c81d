/**
 * The XenStore client interface and its promises. One client (client.ts) keeps these promises over
 * any channel: over xenstored's socket or device (open.ts), and over a store in memory, which tests
 * use. One contract suite (test/contract) checks the client on both.
 *
 * - Paths, values and tokens are checked before anything is sent (path.ts). A bad one rejects with
 *   `EINVAL`, or `E2BIG` where only the length is at fault.
 * - Values are bytes. A string is written as UTF-8; `readText` decodes.
 * - Requests of one client are served in the order in which they were made.
 * - An aborted signal rejects the caller at once with the signal's reason. It is unknown whether
 *   xenstored still carries the request out.
 * - Every request rejects with `ETIMEDOUT` when xenstored has not answered within the client's
 *   request timeout.
 * - When the connection is lost, every pending request rejects with `ECONNRESET`, every watch's
 *   `onLost` is called once, and every later request rejects with `ECONNRESET`. A client does not
 *   reconnect: its watches and transactions died with the connection, so its owner must start over.
 * - `close()` may be called any number of times. Pending requests reject with `ECLOSED`.
 */
export interface Xenstore extends AsyncDisposable {
  /** Reads the value of a node. Rejects with `ENOENT` where the node does not exist. */
  read(path: string, options?: RequestOptions): Promise<Buffer>;
  /** Reads many values in one trip; `undefined` for a node that does not exist. Not atomic. */
  readMany(paths: readonly string[], options?: RequestOptions): Promise<(Buffer | undefined)[]>;
  /** Sets a node's value. Makes missing parents. */
  write(path: string, value: Value, options?: RequestOptions): Promise<void>;
  /** Makes an empty node. Leaves an existing node as it is. */
  mkdir(path: string, options?: RequestOptions): Promise<void>;
  /** Removes a node and everything below it. Succeeds for a node that does not exist. */
  remove(path: string, options?: RequestOptions): Promise<void>;
  /** Lists the names of a node's children. Rejects with `ENOENT` where the node does not exist. */
  directory(path: string, options?: RequestOptions): Promise<string[]>;
  getPermissions(path: string, options?: RequestOptions): Promise<Permission[]>;
  /**
   * Sets a node's permissions. The first entry names the owner of the node, and its access is that
   * of every domain that is not listed.
   */
  setPermissions(
    path: string,
    permissions: readonly Permission[],
    options?: RequestOptions,
  ): Promise<void>;
  /**
   * Watches a node and everything below it. The listener is called once soon after registration,
   * and then for every change, possibly more often. It is told which path changed, never the value.
   * The removal of an ancestor is reported as a change of the watched path itself.
   */
  watch(path: string, listener: WatchListener, options?: WatchOptions): Promise<Watch>;
  /**
   * Runs `body` in a transaction. Runs it again when the commit meets a conflict (`EAGAIN`), at
   * most `attempts` times (default 16), with a random pause in between. When `body` throws, the
   * transaction is aborted and the error is passed on.
   */
  transaction<T>(
    body: (transaction: Transaction) => Promise<T>,
    options?: TransactionOptions,
  ): Promise<T>;
  /**
   * Runs a whole transaction that is known from the start, in three trips. The steps run in order.
   * The first expectation that does not hold aborts the transaction and is reported. Nothing is
   * changed then. Nothing is changed either where xenstored refuses a step. Conflicts are retried
   * as above.
   */
  transact(
    steps: readonly TransactionStep[],
    options?: TransactOptions,
  ): Promise<TransactionOutcome>;
  /** Closes the connection. Idempotent. */
  close(): Promise<void>;
}

/** The operations inside a transaction: the same as outside, but seen and made atomically. */
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

/** A value to write; a string is written as UTF-8. */
export type Value = Uint8Array | string;

/** The options of every request. */
export interface RequestOptions {
  readonly signal?: AbortSignal | undefined;
}

/** The options of a transaction. It is attempted 16 times by default. */
export interface TransactionOptions extends RequestOptions {
  readonly attempts?: number;
}

/** The options of a transaction that is known from the start. */
export interface TransactOptions extends TransactionOptions {
  /**
   * Called in each attempt when all steps hold, just before the commit is sent. It checks facts
   * outside XenStore that must hold together with the steps. When it returns `false`, nothing is
   * changed, and the outcome's `failed` is the number of steps. When it throws, nothing is changed,
   * and the call rejects with its error. An attempt in which it was not called has changed nothing.
   */
  readonly confirm?: (() => boolean) | undefined;
}

/** The options of a watch. */
export interface WatchOptions extends RequestOptions {
  /**
   * Serves later watches of this client below `path` from the events of this watch. Those watches
   * cost xenstored and its quota nothing, and need no trip. This watch has to outlive them: when it
   * is closed, they are told that they are lost (`ECLOSED`).
   */
  readonly covering?: boolean | undefined;
}

/** One step of a transaction that is known from the start. */
export type TransactionStep =
  /**
   * Goes on only if the node has exactly this value; for `undefined`, only if it does not exist.
   */
  | { readonly op: 'expect'; readonly path: string; readonly value: Value | undefined }
  /** Goes on only if the node exists. */
  | { readonly op: 'exists'; readonly path: string }
  | { readonly op: 'write'; readonly path: string; readonly value: Value }
  /** Succeeds for a node that does not exist. */
  | { readonly op: 'remove'; readonly path: string };

/** The outcome of a transaction that is known from the start. */
export type TransactionOutcome =
  | { readonly committed: true }
  /** `failed` is the index of the step that did not hold, `found` the value found instead. */
  | { readonly committed: false; readonly failed: number; readonly found: Buffer | undefined };

/**
 * What a domain may do with a node. `access` is as in xenstore-chmod: `n` none, `r` read, `w`
 * write, `b` both.
 */
export interface Permission {
  readonly domid: number;
  readonly access: 'n' | 'r' | 'w' | 'b';
}

/** The receiver of a watch's events. */
export interface WatchListener {
  onEvent(path: string): void;
  /**
   * Learns that no event will come any more: the connection is gone, or the client was closed
   * (`ECLOSED`). Not called after `Watch.close()`.
   */
  onLost(error: Error): void;
}

/** A registered watch. */
export interface Watch extends AsyncDisposable {
  readonly path: string;
  /** Ends the watch. No event is delivered after this call. Idempotent; never rejects. */
  close(): Promise<void>;
}
