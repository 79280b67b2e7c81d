import { followEvents as follow } from '../daemon/follow-events.js';
import type { VbdEvent } from '../daemon/vbd-event.js';
import { parseVbdPath } from '../vbd/vbd-path.js';
import { ABSOLUTE_PATH, CALLBACK, checkOptions, SIGNAL, withDefaults } from './check-arguments.js';
import { DEFAULT_SOCKET } from './defaults.js';

/** What `followEvents` can be told; every option may be left out. */
export interface FollowOptions {
  /** The control socket of the daemon. */
  readonly socket?: string | undefined;
  /** Ends it, without an error. */
  readonly signal?: AbortSignal | undefined;
  /** Called once: from now on nothing is missed. */
  readonly onFollowing?: (() => void) | undefined;
}

/**
 * Yields each step of each vbd as the daemon does it, until the signal is aborted. Throws `DaemonError`
 * (`ENODAEMON`, `EENDED`) when there is no daemon, or none any more.
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

/** The event that a line of JSON tells of (docs/json.md); `undefined` for one that names no vbd. */
export function parseEvent(text: string): VbdEvent | undefined {
  const json = JSON.parse(text) as Record<string, unknown>;
  const vbd = parseVbdPath(String(json.backend));
  if (vbd === undefined) return undefined;
  const { device, diskseq, code, errno } = json;
  return {
    time: new Date(String(json.time)),
    vbd,
    action: json.action === 'remove' ? 'remove' : 'add',
    // A step that a later daemon has and this library does not know is passed on as it is.
    step: String(json.step) as VbdEvent['step'],
    detail: String(json.detail),
    device: typeof device === 'string' ? device : undefined,
    diskseq: typeof diskseq === 'string' ? BigInt(diskseq) : undefined,
    code: typeof code === 'string' ? code : undefined,
    errno: typeof errno === 'number' ? errno : undefined,
  };
}
