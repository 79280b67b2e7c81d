import type { BlockDevice } from '../block/block-device.js';
import { formatDevnumHex } from '../linux/devnum.js';
import { quote } from '../util/one-line.js';
import type {
  RequestOptions,
  TransactionOutcome,
  TransactionStep,
  Xenstore,
} from '../xenstore/xenstore.js';
import { type VbdBackend, XenbusState } from './vbd-backend.js';
import { VbdError } from './vbd-error.js';
import { backendNode, type VbdPath } from './vbd-path.js';

/** How XenStore and blkback agree on the device: the nodes of docs/xenstore.md. */
export type Uapi = 'key' | 'inline';

/** The nodes through which a device is named to blkback, with their values. */
export interface Publication {
  readonly 'physical-device': string;
  readonly 'physical-device-path': string;
  readonly diskseq: string;
}

/** What stands in XenStore for a device. `inline` is what the first diskseq kernels read. */
export function toPublication(device: BlockDevice, uapi: Uapi): Publication {
  const number = formatDevnumHex(device.identity.devnum);
  const diskseq = device.identity.diskseq.toString(16);
  return {
    'physical-device': uapi === 'inline' ? `${diskseq}@${number}` : number,
    'physical-device-path': device.path,
    diskseq,
  };
}

/** What the plan was made from: with another value the device would be another's. */
const PLANNED_FROM = ['frontend', 'params', 'mode'] as const;

/** The one transaction that names the device to blkback, if everything still is as it was seen. */
export function publishSteps(
  vbd: VbdPath,
  seen: VbdBackend,
  publication: Publication,
): TransactionStep[] {
  return [
    // Below a backend that is gone a write would bring it back, as a ruin; and one that was made anew
    // under the same path is another guest's.
    ...PLANNED_FROM.map((node) => ({
      op: 'expect' as const,
      path: backendNode(vbd, node),
      value: seen.bytes(node),
    })),
    { op: 'exists', path: backendNode(vbd, 'dev') },
    { op: 'expect', path: backendNode(vbd, 'state'), value: XenbusState.InitWait },
    { op: 'expect', path: backendNode(vbd, 'physical-device'), value: undefined },
    // A predecessor's error would be taken for the answer to what is published now.
    { op: 'remove', path: vbd.error },
    {
      op: 'write',
      path: backendNode(vbd, 'physical-device-path'),
      value: publication['physical-device-path'],
    },
    { op: 'write', path: backendNode(vbd, 'diskseq'), value: publication.diskseq },
    {
      op: 'write',
      path: backendNode(vbd, 'physical-device'),
      value: publication['physical-device'],
    },
  ];
}

/**
 * Names the device to blkback, for the backend that was `seen`. When it throws, nothing of ours is published: `EGONE`, `ESTATE` and
 * `ERACE` say that nothing was; after any other error, which leaves that open, it is taken back, for
 * which `rollback` gives the time.
 */
export async function publish(
  store: Xenstore,
  vbd: VbdPath,
  seen: VbdBackend,
  publication: Publication,
  options: RequestOptions & { readonly rollback: () => AbortSignal },
): Promise<void> {
  const steps = publishSteps(vbd, seen, publication);
  let outcome: TransactionOutcome;
  try {
    outcome = await store.transact(steps, { signal: options.signal });
  } catch (error) {
    await unpublish(store, vbd, publication, { signal: options.rollback() });
    throw error;
  }
  if (!outcome.committed) throw refusal(vbd, steps[outcome.failed], outcome.found);
}

function refusal(
  vbd: VbdPath,
  failed: TransactionStep | undefined,
  value: Buffer | undefined,
): VbdError {
  const found = value?.toString('utf8');
  if (failed?.path.endsWith('/physical-device')) {
    return new VbdError(
      `${failed.path} was written by somebody else (${quote(found ?? '')}) while the device was being opened`,
      { code: 'ERACE' },
    );
  }
  if (found === undefined) {
    return new VbdError(
      `${vbd.backend} went away while the device was being opened: ${failed?.path} is gone`,
      { code: 'EGONE' },
    );
  }
  const why = failed?.path.endsWith('/state')
    ? `blkback takes a device only in state ${XenbusState.InitWait} (InitWait)`
    : 'what was opened is not what is asked for now';
  return new VbdError(
    `${failed?.path} changed to ${quote(found)} while the device was being opened; ${why}`,
    { code: 'ESTATE' },
  );
}

/** Takes back what `publish` wrote, if it is still that and XenStore can be reached. Never rejects. */
export async function unpublish(
  store: Xenstore,
  vbd: VbdPath,
  publication: Publication,
  options: RequestOptions,
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
  // There is an error to be told already, and it is the more useful one.
  await store.transact(steps, options).catch(() => undefined);
}
