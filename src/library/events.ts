import { followEvents as follow } from '../daemon/follow-events.js';
import type { FeedEvent } from '../daemon/vbd-event.js';
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
 * Yields a snapshot of each vbd first, and then each step of each vbd as the daemon does it, and what
 * guests do on their own, until the signal is aborted. Throws
 * `DaemonError` if no daemon answers (`ENODAEMON`) or the daemon ends (`EENDED`).
 */
export async function* followEvents(
  options: FollowOptions = {},
): AsyncGenerator<FeedEvent, void, undefined> {
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

const ACTIONS = ['add', 'remove', 'guest', 'snapshot'] as const;

/**
 * Returns the event in a line of JSON (docs/json.md). Returns `undefined` if the line names no vbd of
 * this domain, or an action of a later daemon that this library does not know.
 */
export function parseEvent(text: string): FeedEvent | undefined {
  const json = JSON.parse(text) as Record<string, unknown>;
  const vbd = parseVbdPath(String(json.backend));
  const action = ACTIONS.find((name) => name === json.action);
  if (vbd === undefined || action === undefined) return undefined;
  const { target, device, diskseq, state, code, errno } = json;
  return {
    time: new Date(String(json.time)),
    vbd,
    action,
    step: String(json.step),
    detail: String(json.detail),
    target: typeof target === 'string' ? target : undefined,
    device: typeof device === 'string' ? device : undefined,
    diskseq: typeof diskseq === 'string' ? BigInt(diskseq) : undefined,
    state: typeof state === 'string' ? state : undefined,
    code: typeof code === 'string' ? code : undefined,
    errno: typeof errno === 'number' ? errno : undefined,
  };
}
