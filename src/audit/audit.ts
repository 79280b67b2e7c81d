import type { RequestOptions, Xenstore } from '../xenstore/xenstore.js';
import { type AuditPlace, collectHostState } from './collect-host-state.js';
import { type FindOptions, findFaults } from './find-faults.js';
import type { Finding } from './finding.js';

/**
 * The time between the two looks; milliseconds. By the second look, an attach or detach that was
 * under way has ended or has moved on.
 */
export const SETTLE_MS = 1000;

/**
 * Returns everything on this host that is left behind or contradictory. Looks twice, and returns
 * only what both looks find, because an attach or detach that is under way leaves contradictions
 * for a moment.
 *
 * @param pause Waits between the two looks.
 */
export async function audit(
  store: Xenstore,
  place: AuditPlace,
  pause: (ms: number) => Promise<void>,
  options: RequestOptions & FindOptions,
): Promise<Finding[]> {
  const find = async (): Promise<Finding[]> =>
    findFaults(await collectHostState(store, place, options), options);
  const first = await find();
  if (first.length === 0) return [];
  await pause(SETTLE_MS);
  const nameOf = ({ kind, object }: Finding): string => `${kind} ${object}`;
  const before = new Set(first.map(nameOf));
  return (await find()).filter((finding) => before.has(nameOf(finding)));
}
