import { toOneLine } from '../util/one-line.js';
import type { VbdSummary } from '../vbd/summarize-vbd.js';
import { describeXenbusState } from '../vbd/xenbus-state.js';
import type { FeedEvent } from './vbd-event.js';
import { isServed } from './vbd-snapshot.js';

/**
 * Returns the events that explain how a vbd of another backend domain has changed between two looks
 * at its nodes. The nodes are the only thing by which the other domain shows a change. `undefined`
 * stands for a vbd that does not exist. Pure.
 */
export function remoteEvents(
  before: VbdSummary | undefined,
  now: VbdSummary | undefined,
  time: Date,
): FeedEvent[] {
  if (now === undefined) {
    if (before === undefined) return [];
    const gone = { action: 'remove', step: 'removed', detail: 'its nodes are gone' } as const;
    return [{ time, vbd: before.vbd, ...gone }];
  }
  const { vbd, target, device, diskseq, state } = now;
  const disk = { time, vbd, target, device, diskseq, state };
  const events: FeedEvent[] = [];
  const tell = (what: Pick<FeedEvent, 'action' | 'step' | 'detail' | 'code'>): void => {
    events.push({ ...disk, ...what });
  };
  if (before === undefined)
    tell({ action: 'add', step: 'planned', detail: toOneLine(target ?? '-') });
  if (now.error !== undefined && now.error !== before?.error) {
    const code = now.hotplugStatus === 'busy' ? 'EBUSY' : 'EATTACH';
    tell({ action: 'add', step: 'failed', detail: toOneLine(now.error), code });
  }
  if (isServed(now) && !(before && isServed(before))) {
    tell({ action: 'add', step: 'attached', detail: toOneLine(device ?? 'no device is named') });
  }
  if (before !== undefined && state !== before.state) {
    tell({ action: 'guest', step: 'state', detail: describeXenbusState(state) });
  }
  return events;
}
