import type { TransactionStep, TransactOptions, Xenstore } from '../xenstore/xenstore.js';
import type { Publication } from './publish-device.js';
import { backendNode, type VbdPath } from './vbd-path.js';

/**
 * Takes back the nodes that `publish` wrote, if they still name the same device and XenStore can be
 * reached. Never rejects.
 *
 * @param options `confirm` tells whether the nodes are still those of the same instance. Those of
 *   an instance that was made anew may name the same device.
 */
export async function unpublish(
  store: Xenstore,
  vbd: VbdPath,
  publication: Publication,
  options: TransactOptions,
): Promise<void> {
  const steps: TransactionStep[] = [
    { op: 'exists', path: backendNode(vbd, 'frontend') },
    {
      op: 'expect',
      path: backendNode(vbd, 'physical-device'),
      value: publication['physical-device'],
    },
    { op: 'remove', path: backendNode(vbd, 'physical-device') },
    { op: 'remove', path: backendNode(vbd, 'physical-device-path') },
    { op: 'remove', path: backendNode(vbd, 'diskseq') },
  ];
  // The caller has an error to tell already, and that error is the more useful one.
  await store.transact(steps, options).catch(() => undefined);
}
