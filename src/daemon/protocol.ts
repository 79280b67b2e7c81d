// The line protocol of the control socket, docs/control-socket.md. Pure.

import type { FeedEvent } from './vbd-event.js';

export const PROTOCOL_VERSION = 1;
/** Of the objects in events: docs/json.md. */
const JSON_VERSION = 1;
/** Bytes of a request line, its end included; a backend path is far shorter. */
export const LONGEST_LINE = 1024;

export interface ControlRequest {
  readonly action: 'add' | 'remove';
  /** A backend path, still to be parsed. */
  readonly path: string;
}

/** To be told what happens to vbds, until somebody has enough of it. */
export interface EventsRequest {
  readonly action: 'events';
  /** What comes first; `undefined`: nothing. */
  readonly start?: EventsStart | undefined;
}

/** How every vbd is, or what has happened since an event of a run of the daemon, if that is remembered. */
export type EventsStart =
  | { readonly after: undefined }
  | { readonly after: { readonly run: string; readonly seq: number } };

/** To be told of the daemon itself. */
export interface ReportRequest {
  readonly action: 'status' | 'metrics';
}

/** What a line asks for; a reply to be sent where it asks for nothing that can be done. */
export type ParsedRequest =
  | { readonly ok: true; readonly request: ControlRequest | EventsRequest | ReportRequest }
  | { readonly ok: false; readonly reply: string };

/** Reads `xen-blkback 1 add backend/vbd/7/51712`. */
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
  if ((action !== 'add' && action !== 'remove') || path === undefined || rest.length > 0) {
    const wanted = 'add PATH, remove PATH, events, status or metrics is needed';
    return { ok: false, reply: failedReply('EPROTOCOL', wanted) };
  }
  return { ok: true, request: { action, path } };
}

/** Reads `snapshot`, or `after RUN SEQ`. */
function parseStart([word, run, seq, ...rest]: readonly string[]): EventsStart | undefined {
  if (word === 'snapshot' && run === undefined) return { after: undefined };
  if (word !== 'after' || run === undefined || rest.length > 0) return undefined;
  if (!/^\d{1,15}$/.test(seq ?? '')) return undefined;
  return { after: { run, seq: Number(seq) } };
}

/** Sent at once to a reader of events: the request has been understood. */
export const ACCEPTED = 'accepted\n';

/** Sent at once: the request has been understood, and its result will follow within so many milliseconds. */
export function acceptedReply(timeoutMs: number): string {
  return `accepted ${timeoutMs}\n`;
}

export const DONE = 'ok\n';
/** There are too many connections, or the daemon is about to end: do it yourself. */
export const UNAVAILABLE = 'unavailable\n';

/** `failed CODE sentence`; the sentence must be fit for one line. */
export function failedReply(code: string, sentence: string): string {
  return `failed ${code} ${sentence}\n`;
}

/** What a reader of events sends who wants a snapshot first, or to go on behind an event. */
export function eventsRequest({ after }: EventsStart): string {
  const start = after === undefined ? 'snapshot' : `after ${after.run} ${after.seq}`;
  return `xen-blkback ${PROTOCOL_VERSION} events ${start}\n`;
}

/** The last line that a reader of events gets from a daemon that ends. */
export const ENDED = 'ended\n';

/** Where an event stands among all. */
export interface EventPlace {
  /** A run of the daemon; the next one counts anew. */
  readonly run: string;
  readonly seq: number;
  /** Name of the guest; `undefined` where it has none, or may not be known. */
  readonly domain: string | undefined;
}

/** `event` and a JSON object; what does not apply is null. */
export function eventLine(event: FeedEvent, place: EventPlace): string {
  return `event ${eventJson(event, place)}\n`;
}

/** The JSON object of an event. */
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

/** The end of a snapshot: what happened up to `seq` is in it. */
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
