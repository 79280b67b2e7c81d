import { toOneLine } from '../util/one-line.js';
import type { VbdSummary } from '../vbd/summarize-vbd.js';
import { describeXenbusState } from '../vbd/xenbus-state.js';
import type { FeedEvent } from './vbd-event.js';

/**
 * Returns the present condition of a vbd as an event whose step is `attached`, `failed` or
 * `waiting`. Pure.
 */
export function snapshotEvent(summary: VbdSummary, time: Date): FeedEvent {
  const { vbd, target, device, diskseq, state, error } = summary;
  const step = isServed(summary) ? 'attached' : error === undefined ? 'waiting' : 'failed';
  const detail = toOneLine(error ?? `state ${describeXenbusState(state)}`);
  return { time, vbd, action: 'snapshot', step, detail, target, device, diskseq, state };
}

/**
 * Tells whether the guest has its disk. For a vbd of another backend domain, the answer rests on
 * the nodes that the other domain has written.
 */
export function isServed({ isRemote, hotplugStatus, opened }: VbdSummary): boolean {
  return isRemote ? hotplugStatus === 'connected' && opened.open !== false : opened.open === true;
}
