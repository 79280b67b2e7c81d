// The line protocol of the control socket, docs/control-socket.md. Pure.

import type { VbdEvent } from './vbd-event.js';

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
}

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

/** What a reader of events sends. */
export const EVENTS_REQUEST: string = `xen-blkback ${PROTOCOL_VERSION} events\n`;
/** The last line that a reader of events gets from a daemon that ends. */
export const ENDED = 'ended\n';

/** `event` and a JSON object; what does not apply is null. */
export function eventLine(event: VbdEvent): string {
  const { time, vbd, action, step, detail, device, diskseq, code, errno } = event;
  const json = {
    version: JSON_VERSION,
    time: time.toISOString(),
    backend: vbd.backend,
    domid: vbd.domid,
    devid: vbd.devid,
    action,
    step,
    detail,
    device: device ?? null,
    diskseq: diskseq === undefined ? null : String(diskseq),
    code: code ?? null,
    errno: errno ?? null,
  };
  return `event ${JSON.stringify(json)}\n`;
}
