import { traceLine } from '../linux/trace.js';
import { monotonicMs } from '../util/clock.js';
import { ERRNO } from '../util/errno.js';
import { pause } from '../util/retry.js';
import { AddonChannel } from './addon-channel.js';
import type { Channel } from './channel.js';
import { type ClientOptions, DEFAULT_TIMEOUT_MS, XenstoreClient } from './client.js';
import { openFailure, timeoutFailure } from './failure.js';
import { xenstoredPlaces } from './places.js';
import { TracedChannel } from './traced-channel.js';
import type { Xenstore } from './xenstore.js';

/** The options of a connection to xenstored. */
export interface OpenOptions extends ClientOptions {
  readonly signal?: AbortSignal | undefined;
}

/**
 * The shortest and longest pause between two attempts to connect to a socket whose queue is full.
 * There is no event that tells when the queue has room.
 */
const FIRST_PAUSE_MS = 1;
const MAX_PAUSE_MS = 32;

/**
 * Connects to xenstored: to the place that `XENSTORED_PATH` or `XENSTORED_RUNDIR` names, to the
 * usual socket, or to /dev/xen/xenbus. Rejects with `ECONNREFUSED` where there is no xenstored, and
 * with `ETIMEDOUT` where xenstored has not accepted the connection within the request timeout. An
 * open client keeps the process alive until `close()`, or until the connection is lost.
 */
export async function openXenstore(options: OpenOptions = {}): Promise<Xenstore> {
  options.signal?.throwIfAborted();
  const channel = await connect(options);
  const traced = traceLine === undefined ? channel : new TracedChannel(channel);
  return new XenstoreClient(traced, options);
}

async function connect({ signal, requestTimeoutMs }: OpenOptions): Promise<Channel> {
  const timeoutMs = requestTimeoutMs ?? DEFAULT_TIMEOUT_MS;
  const places = xenstoredPlaces(process.env);
  const deadline = monotonicMs() + timeoutMs;
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, MAX_PAUSE_MS)) {
    const channel = openFirst(places);
    if (channel) return channel;
    const left = deadline - monotonicMs();
    if (left <= 0) throw timeoutFailure('open', places[0] ?? '', timeoutMs);
    await pause(Math.min(pauseMs, left), signal);
  }
}

/**
 * Returns a channel to the first place that has a xenstored; `undefined` while the queue of its
 * socket is full.
 */
function openFirst(places: readonly string[]): Channel | undefined {
  let errno = 0;
  for (const place of places) {
    const outcome = AddonChannel.open(place);
    if (typeof outcome !== 'number') return outcome;
    if (outcome === ERRNO.EAGAIN) return undefined;
    // The error of a place that exists says more than the error of a place that does not exist.
    if (errno === 0 || errno === ERRNO.ENOENT) errno = outcome;
  }
  throw openFailure(places, errno);
}
