/**
 * What stands below a client: something that carries requests out in order and reports. libxenstore
 * is one (native.ts), the store in memory another (memory.ts).
 */
export interface Wire {
  /** Called once, before anything else. */
  attach(listener: WireListener): void;
  submit(request: WireRequest): void;
  /** Takes a request back; false if it has begun. A cancelled request gets no reply. */
  cancel(id: number): boolean;
  /** Drops what is pending, without replies, and frees everything. Called once. */
  close(): Promise<void>;
}

export interface WireListener {
  /** `errno` 0 is success; `value` is then as `Values` says. */
  reply(id: number, errno: number, value: unknown): void;
  event(path: string, token: string): void;
  lost(): void;
}

/** A request, told apart by `op`. */
export type WireRequest = {
  [O in Operation]: {
    readonly id: number;
    readonly op: O;
    /** 0 outside transactions. */
    readonly tx: number;
    readonly path: string;
    readonly argument: Arguments[O];
  };
}[Operation];

export interface WireStep {
  readonly op: 'expect' | 'exists' | 'write' | 'remove';
  readonly path: string;
  readonly value: Buffer | undefined;
}

export type Operation = keyof Values;

/** What each operation is given beside its path. */
export interface Arguments {
  open: undefined;
  read: undefined;
  readMany: readonly string[];
  write: Buffer;
  mkdir: undefined;
  remove: undefined;
  directory: undefined;
  getPermissions: undefined;
  setPermissions: readonly number[];
  /** The token. */
  watch: string;
  unwatch: string;
  start: undefined;
  /** Whether to abort. */
  end: boolean;
  transact: readonly WireStep[];
}

/** What each operation gives. */
export interface Values {
  open: undefined;
  read: Buffer;
  /** A value, or the errno of reading it. */
  readMany: (Buffer | number)[];
  write: undefined;
  mkdir: undefined;
  remove: undefined;
  directory: string[];
  getPermissions: number[];
  setPermissions: undefined;
  watch: undefined;
  unwatch: undefined;
  /** The transaction's number. */
  start: number;
  end: undefined;
  /** The step that failed or did not hold, -1 for none of them, and what was found there. */
  transact: [failed: number, found: Buffer | undefined];
}
