// The line protocol of the control socket, docs/control-socket.md. Pure.

export const PROTOCOL_VERSION = 1;
/** Bytes of a request line, its end included; a backend path is far shorter. */
export const LONGEST_LINE = 1024;

export interface ControlRequest {
  readonly action: 'add' | 'remove';
  /** A backend path, still to be parsed. */
  readonly path: string;
}

/** What a line asks for; a reply to be sent where it asks for nothing that can be done. */
export type ParsedRequest =
  | { readonly ok: true; readonly request: ControlRequest }
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
  if ((action !== 'add' && action !== 'remove') || path === undefined || rest.length > 0) {
    return { ok: false, reply: failedReply('EPROTOCOL', 'the request is not add or remove PATH') };
  }
  return { ok: true, request: { action, path } };
}

/** Sent at once: the request has been understood, and its result will follow. */
export const ACCEPTED = 'accepted\n';
export const DONE = 'ok\n';
/** There are too many connections, or the daemon is about to end: do it yourself. */
export const UNAVAILABLE = 'unavailable\n';

/** `failed CODE sentence`; the sentence must be fit for one line. */
export function failedReply(code: string, sentence: string): string {
  return `failed ${code} ${sentence}\n`;
}
