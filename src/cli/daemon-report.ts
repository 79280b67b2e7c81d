import type { AttachTimes } from '../daemon/attach-times.js';
import type { ControlOptions } from '../daemon/control-socket.js';
import { describeStatus } from '../daemon/daemon-status.js';
import type { EventFeed } from '../daemon/event-feed.js';
import { formatMetrics } from '../daemon/metrics.js';
import type { Service } from '../daemon/service.js';
import type { Statistics } from '../daemon/statistics.js';
import { listHungCalls } from '../linux/hung-calls.js';
import { monotonicMs } from '../util/clock.js';
import { OpenVbds } from '../vbd/open-vbds.js';
import { parseVbdPath } from '../vbd/vbd-path.js';
import { readVersion } from './version.js';

/**
 * Returns the function that answers questions about the daemon itself. The function makes no call
 * that may hang.
 */
export function reporter(daemon: {
  readonly service: Service;
  readonly statistics: Statistics;
  readonly feed: EventFeed;
  readonly attachTimes: AttachTimes;
  readonly sysfs: string;
}): ControlOptions['report'] {
  const { service, statistics, feed, attachTimes, sysfs } = daemon;
  // Read at the start, because another version may be installed later.
  const version = readVersion();
  const openVbds = new OpenVbds(sysfs);
  return async (question, about) => {
    if (question === 'attachment') {
      const vbd = parseVbdPath(about ?? '');
      const found = vbd && attachTimes.find(vbd);
      return `attachment ${JSON.stringify({
        version: 1,
        daemon: version,
        pid: process.pid,
        since: statistics.since.toISOString(),
        attached: found?.time.toISOString() ?? null,
        diskseq: found === undefined ? null : String(found.diskseq),
      })}\n`;
    }
    const state = {
      version,
      pid: process.pid,
      connected: service.isConnected,
      openVbds: countOpen(openVbds),
      readers: feed.readers,
      hung: listHung(),
    };
    if (question === 'metrics') return `metrics\n${formatMetrics(state, statistics)}`;
    return `status ${JSON.stringify(describeStatus(state, statistics))}\n`;
  };
}

/** Returns the number of vbds that blkback has open; `undefined` where sysfs does not tell. */
function countOpen(openVbds: OpenVbds): number | undefined {
  try {
    return openVbds.list().length;
  } catch {
    return undefined;
  }
}

/** Lists each hung place once, with the time of the call that has waited longest; seconds. */
function listHung(): { what: string; seconds: number }[] {
  const places = new Map<string, number>();
  for (const { place, object, since } of listHungCalls()) {
    const what = place?.description ?? object;
    const seconds = Math.floor((monotonicMs() - since) / 1000);
    places.set(what, Math.max(places.get(what) ?? 0, seconds));
  }
  return [...places].map(([what, seconds]) => ({ what, seconds }));
}
