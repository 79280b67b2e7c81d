import type { RequestOptions, Xenstore } from '../xenstore/xenstore.js';
import type { Finding } from './finding.js';
import { judge } from './judge.js';
import { type AuditPlace, lookAtHost } from './look-at-host.js';

/** Between the two looks: what is under way is over then, or looks otherwise; milliseconds. */
export const SETTLE_MS = 1000;

/**
 * What does not fit together on this host. It looks twice: what an attach or detach under way leaves for a
 * moment is not told.
 *
 * @param pause waits between the two.
 */
export async function audit(
  store: Xenstore,
  place: AuditPlace,
  pause: (ms: number) => Promise<void>,
  options: RequestOptions,
): Promise<Finding[]> {
  const first = judge(await lookAtHost(store, place, options));
  if (first.length === 0) return [];
  await pause(SETTLE_MS);
  const nameOf = ({ kind, object }: Finding): string => `${kind} ${object}`;
  const before = new Set(first.map(nameOf));
  const second = judge(await lookAtHost(store, place, options));
  return second.filter((finding) => before.has(nameOf(finding)));
}
