// The line protocol of the control socket, which docs/control-socket.md describes. Pure.

import type { FeedEvent } from './vbd-event.js';

export const PROTOCOL_VERSION = 1;
/** The version of the JSON objects in events, which docs/json.md describes. */
const JSON_VERSION = 1;
/** The largest size of a request line in bytes. A line with a backend path is far shorter. */
export const LONGEST_LINE = 1024;

/** A request to attach or detach a vbd. */
export interface ControlRequest {
  readonly action: 'add' | 'remove';
  /** A backend path that is not parsed yet. */
  readonly path: string;
}

/** A request for events. They come until the reader or the daemon closes the connection. */
export interface EventsRequest {
  readonly action: 'events';
  /** Selects what comes before the first new event. `undefined`: nothing comes before it. */
  readonly start?: EventsStart | undefined;
}

/**
 * What comes before the first new event. With `after`, the reader gets every event since event
 * `seq` of run `run` of the daemon, if the daemon still remembers them. Otherwise the reader gets a
 * snapshot of all vbds.
 */
export type EventsStart =
  | { readonly after: undefined }
  | { readonly after: { readonly run: string; readonly seq: number } };

/** A question about the daemon itself, or about what it has done for the vbd at `about`. */
export interface ReportRequest {
  readonly action: 'status' | 'metrics' | 'attachment';
  /** A backend path that is not parsed yet. */
  readonly about?: string;
}

/** The request that a line contains, or the reply to a line that contains no valid request. */
export type ParsedRequest =
  | { readonly ok: true; readonly request: ControlRequest | EventsRequest | ReportRequest }
  | { readonly ok: false; readonly reply: string };

/** Parses a request line without its end, such as `xen-blkback 1 add backend/vbd/7/51712`. */
export function parseRequest(line: string): ParsedRequest {
  const [name, version, action, path, ...rest] = line.split(' ');
  if (name !== 'xen-blkback' || version === undefined || !/^\d{1,5}$/.test(version)) {
    return { ok: false, reply: failedReply('EPROTOCOL', 'this is not a request of xen-blkback') };
  }
  if (Number(version) !== PROTOCOL_VERSION) {
    return { ok: false, reply: `unsupported ${PROTOCOL_VERSION}\n` };
  }
  if (action === 'events' && path !== undefined) {
    const start = parseStart([path, ...rest]);
    if (start !== undefined) return { ok: true, request: { action, start } };
  }
  const isAlone = path === undefined;
  if (isAlone && (action === 'events' || action === 'status' || action === 'metrics')) {
    return { ok: true, request: { action } };
  }
  if (action === 'attachment' && path !== undefined && rest.length === 0) {
    return { ok: true, request: { action, about: path } };
  }
  if ((action !== 'add' && action !== 'remove') || path === undefined || rest.length > 0) {
    const wanted = 'add PATH, remove PATH, attachment PATH, events, status or metrics is needed';
    return { ok: false, reply: failedReply('EPROTOCOL', wanted) };
  }
  return { ok: true, request: { action, path } };
}

/** Parses `snapshot` or `after RUN SEQ`. Returns `undefined` for anything else. */
function parseStart([word, run, seq, ...rest]: readonly string[]): EventsStart | undefined {
  if (word === 'snapshot' && run === undefined) return { after: undefined };
  if (word !== 'after' || run === undefined || rest.length > 0) return undefined;
  if (!/^\d{1,15}$/.test(seq ?? '')) return undefined;
  return { after: { run, seq: Number(seq) } };
}

/** The immediate reply to a reader of events: the daemon has understood the request. */
export const ACCEPTED = 'accepted\n';

/**
 * Returns the immediate reply to an add or remove: the daemon has understood the request, and its
 * result follows within `timeoutMs` milliseconds.
 */
export function acceptedReply(timeoutMs: number): string {
  return `accepted ${timeoutMs}\n`;
}

export const DONE = 'ok\n';
/**
 * The reply of a daemon that cannot serve a request now, for example without a connection to
 * xenstored. The client does the work itself.
 */
export const UNAVAILABLE = 'unavailable\n';

/** Returns the reply `failed CODE sentence`. The sentence must not contain a line end. */
export function failedReply(code: string, sentence: string): string {
  return `failed ${code} ${sentence}\n`;
}

/** Returns the request of a reader that wants a snapshot first, or all events after `after`. */
export function eventsRequest({ after }: EventsStart): string {
  const start = after === undefined ? 'snapshot' : `after ${after.run} ${after.seq}`;
  return `xen-blkback ${PROTOCOL_VERSION} events ${start}\n`;
}

/** The last line that a reader of events gets from a daemon that ends. */
export const ENDED = 'ended\n';

/** The position of an event in the sequence of all events, and the name of its guest. */
export interface EventPlace {
  /** Identifies a run of the daemon. Every run numbers its events from 1. */
  readonly run: string;
  readonly seq: number;
  /** The name of the guest. `undefined` if the guest has none, or if it could not be read. */
  readonly domain: string | undefined;
}

/** Returns the line `event` with the JSON object of an event. */
export function eventLine(event: FeedEvent, place: EventPlace): string {
  return `event ${eventJson(event, place)}\n`;
}

/** Returns the JSON object of an event. A field that does not apply is null. */
export function eventJson(event: FeedEvent, { run, seq, domain }: EventPlace): string {
  const { time, vbd, action, step, detail, target, device, diskseq, state, code, errno } = event;
  return JSON.stringify({
    version: JSON_VERSION,
    run,
    seq,
    time: time.toISOString(),
    backend: vbd.backend,
    'backend-domid': vbd.backend.startsWith('/') ? (vbd.backendDomid ?? null) : null,
    domid: vbd.domid,
    domain: domain ?? null,
    devid: vbd.devid,
    action,
    step,
    detail,
    target: target ?? null,
    device: device ?? null,
    diskseq: diskseq === undefined ? null : String(diskseq),
    state: state ?? null,
    code: code ?? null,
    errno: errno ?? null,
  });
}

/**
 * Returns the JSON object that ends a snapshot of `count` vbds. The snapshot covers every event up
 * to `seq`.
 */
export function snapshotEndJson({ run, seq }: Omit<EventPlace, 'domain'>, count: number): string {
  const none = { backend: null, 'backend-domid': null, domid: null, domain: null, devid: null };
  return JSON.stringify({
    version: JSON_VERSION,
    run,
    seq,
    time: new Date().toISOString(),
    ...none,
    action: 'snapshot',
    step: 'complete',
    detail: `${count} vbds`,
    ...{ target: null, device: null, diskseq: null, state: null, code: null, errno: null },
  });
}
