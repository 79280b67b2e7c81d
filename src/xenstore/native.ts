import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type ClientOptions, XenstoreClient } from './client.js';
import type { Operation, Wire, WireListener, WireRequest, WireStep } from './wire.js';
import type { Xenstore } from './xenstore.js';

export interface OpenOptions extends ClientOptions {
  readonly signal?: AbortSignal | undefined;
}

/**
 * Connects to xenstored through libxenstore: to the socket that `XENSTORED_PATH` or
 * `XENSTORED_RUNDIR` names, to its usual socket, or to /dev/xen/xenbus. Rejects with `ECONNREFUSED`
 * where there is none. An open client keeps the process alive until `close()`.
 */
export async function openXenstore(options: OpenOptions = {}): Promise<Xenstore> {
  options.signal?.throwIfAborted();
  return await NativeXenstore.connect(options);
}

class NativeXenstore extends XenstoreClient {
  static async connect(options: OpenOptions): Promise<NativeXenstore> {
    const addon = loadAddon();
    const client = new NativeXenstore(new NativeWire(addon), options);
    try {
      await client.open(addon.socketPath() ?? '/dev/xen/xenbus', options.signal);
    } catch (error) {
      await client.close();
      throw error;
    }
    return client;
  }
}

/** What native/addon.cc exports; native/connection.h documents it. */
interface Addon {
  readonly Connection: new (report: Report) => Connection;
  readonly operations: Record<Exclude<Operation, 'open'>, number>;
  socketPath(): string | undefined;
}

type Report = (
  opened: number | undefined,
  replies: readonly unknown[],
  events: readonly string[],
  lost: boolean,
  closed: boolean,
) => void;

interface Connection {
  submit(id: number, operation: number, tx: number, path: string, argument: unknown): void;
  cancel(id: number): boolean;
  close(): void;
}

/** Positions are what native/request.h calls the step. */
const STEP_KINDS: readonly WireStep['op'][] = ['expect', 'exists', 'write', 'remove'];

class NativeWire implements Wire {
  readonly #addon: Addon;
  readonly #connection: Connection;
  #listener: WireListener | undefined;
  /** The request that waits for the connection. */
  #openId: number | undefined;
  #closed: () => void = () => {};

  constructor(addon: Addon) {
    this.#addon = addon;
    this.#connection = new addon.Connection((...report) => this.#report(...report));
  }

  attach(listener: WireListener): void {
    this.#listener = listener;
  }

  submit(request: WireRequest): void {
    const { id, op, tx, path } = request;
    // The addon connects unasked.
    if (op === 'open') this.#openId = id;
    else this.#connection.submit(id, this.#addon.operations[op], tx, path, encode(request));
  }

  cancel(id: number): boolean {
    return this.#connection.cancel(id);
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#closed = resolve;
      this.#connection.close();
    });
  }

  #report(...[opened, replies, events, lost, closed]: Parameters<Report>): void {
    if (opened !== undefined && this.#openId !== undefined) {
      this.#listener?.reply(this.#openId, opened, undefined);
    }
    for (let i = 0; i < replies.length; i += 3) {
      this.#listener?.reply(Number(replies[i]), Number(replies[i + 1]), replies[i + 2]);
    }
    for (let i = 0; i + 1 < events.length; i += 2) {
      this.#listener?.event(events[i] ?? '', events[i + 1] ?? '');
    }
    if (lost) this.#listener?.lost();
    if (closed) this.#closed();
  }
}

function encode(request: WireRequest): unknown {
  if (request.op !== 'transact') return request.argument;
  return request.argument.flatMap(({ op, path, value }) => [STEP_KINDS.indexOf(op), path, value]);
}

/** The addon, from the package that this file is part of, in a checkout as well as installed. */
function loadAddon(): Addon {
  const place = join('native', 'build', 'Release', 'xenstore.node');
  let directory = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(directory, place)) && dirname(directory) !== directory) {
    directory = dirname(directory);
  }
  const addon: unknown = createRequire(import.meta.url)(join(directory, place));
  return addon as Addon;
}
