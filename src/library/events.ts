import { followEvents as follow } from '../daemon/follow-events.js';
import type { VbdEvent } from '../daemon/vbd-event.js';
import { parseVbdPath } from '../vbd/vbd-path.js';
import { ABSOLUTE_PATH, CALLBACK, checkOptions, SIGNAL, withDefaults } from './check-arguments.js';
import { DEFAULT_SOCKET } from './defaults.js';

/** Options of `followEvents`. Every option may be left out. */
export interface FollowOptions {
  /** The path of the daemon's control socket. */
  readonly socket?: string | undefined;
  /** Its abort ends the sequence of events without an error. */
  readonly signal?: AbortSignal | undefined;
  /** Called once, when the daemon has accepted the request. No later event is missed. */
  readonly onFollowing?: (() => void) | undefined;
}

/**
 * Yields each step of each vbd as the daemon does it, until the signal is aborted. Throws
 * `DaemonError` if no daemon answers (`ENODAEMON`) or the daemon ends (`EENDED`).
 */
export async function* followEvents(
  options: FollowOptions = {},
): AsyncGenerator<VbdEvent, void, undefined> {
  checkOptions('followEvents', options, {
    socket: ABSOLUTE_PATH,
    signal: SIGNAL,
    onFollowing: CALLBACK,
  });
  const defaults = {
    socket: DEFAULT_SOCKET,
    signal: new AbortController().signal,
    onFollowing: () => undefined,
  };
  const { socket, ...rest } = withDefaults(defaults, options);
  for await (const text of follow(socket, rest)) {
    const event = parseEvent(text);
    if (event !== undefined) yield event;
  }
}

/** Returns the event in a line of JSON (docs/json.md), or `undefined` if the line names no vbd. */
export function parseEvent(text: string): VbdEvent | undefined {
  const json = JSON.parse(text) as Record<string, unknown>;
  const vbd = parseVbdPath(String(json.backend));
  if (vbd === undefined) return undefined;
  const { device, diskseq, code, errno } = json;
  return {
    time: new Date(String(json.time)),
    vbd,
    action: json.action === 'remove' ? 'remove' : 'add',
    // A step of a later daemon that this library does not know is passed on as it is.
    step: String(json.step) as VbdEvent['step'],
    detail: String(json.detail),
    device: typeof device === 'string' ? device : undefined,
    diskseq: typeof diskseq === 'string' ? BigInt(diskseq) : undefined,
    code: typeof code === 'string' ? code : undefined,
    errno: typeof errno === 'number' ? errno : undefined,
  };
}
