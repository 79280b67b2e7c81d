import type { BlockDevice } from '../block/block-device.js';
import { formatDevnumHex } from '../linux/devnum.js';
import { readStackedBlock } from '../topology/stacked-block.js';
import { quote } from '../util/one-line.js';
import type { RequestOptions, TransactionStep, Xenstore } from '../xenstore/xenstore.js';
import type { VbdBackend, VbdNode } from './vbd-backend.js';
import { VbdError } from './vbd-error.js';
import type { VbdInstance } from './vbd-instance.js';
import { backendNode, type VbdPath } from './vbd-path.js';
import { XenbusState } from './xenbus-state.js';

/** The dialect in which XenStore names a device to blkback: the nodes of docs/xenstore.md. */
export type Uapi = 'key' | 'inline';

/** The nodes that name a device to blkback, with their values. */
export interface Publication {
  readonly 'physical-device': string;
  readonly 'physical-device-path': string;
  readonly diskseq: string;
}

/**
 * Returns the nodes that name a device in XenStore. The first kernels with diskseq read the dialect
 * `inline`. The path is the kernel's own name of the device: QEMU and bootloaders open the path
 * again, and a link may lead elsewhere by then.
 */
export function toPublication({ identity, path }: BlockDevice, uapi: Uapi): Publication {
  const number = formatDevnumHex(identity.devnum);
  const diskseq = identity.diskseq.toString(16);
  return {
    'physical-device': uapi === 'inline' ? `${diskseq}@${number}` : number,
    'physical-device-path': readStackedBlock(identity.devnum)?.path ?? path,
    diskseq,
  };
}

/**
 * The nodes that the plan was made from. If one of them has changed, the opened device may not be
 * the one that is asked for now.
 */
const PLANNED_FROM = ['frontend', 'params', 'mode'] as const;

/**
 * Returns the nodes that the plan was made from. `device-type` matters only for a CD-ROM drive,
 * which may be empty and is only read.
 */
function plannedFrom(seen: VbdBackend): readonly VbdNode[] {
  return seen.text('device-type') === 'cdrom' ? [...PLANNED_FROM, 'device-type'] : PLANNED_FROM;
}

/**
 * Returns the steps of the one transaction that names the device to blkback, if everything still is
 * as it was seen.
 *
 * @param seen the nodes that the plan was made from.
 * @param keepsOpenedNode whether blkback keeps an `opened` node. A 1 there would be the answer to an
 *   earlier publication, and would be taken for the answer to this one.
 */
export function publishSteps(
  vbd: VbdPath,
  seen: VbdBackend,
  publication: Publication,
  keepsOpenedNode: boolean,
): TransactionStep[] {
  const opened = { op: 'expect', path: backendNode(vbd, 'opened'), value: '0' } as const;
  return [
    ...(keepsOpenedNode ? [opened] : []),
    // A write below a backend that is gone would bring the backend back, as a ruin. A backend that
    // was made anew under the same path is another vbd.
    ...plannedFrom(seen).map((node) => ({
      op: 'expect' as const,
      path: backendNode(vbd, node),
      value: seen.bytes(node),
    })),
    { op: 'exists', path: backendNode(vbd, 'dev') },
    { op: 'expect', path: backendNode(vbd, 'state'), value: XenbusState.InitWait },
    { op: 'expect', path: backendNode(vbd, 'physical-device'), value: undefined },
    // An error of a predecessor would be taken for the answer to this publication.
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
 * Names the device to blkback, for an instance of the vbd. The errors `EGONE`, `ESTATE`, `EOPEN`
 * and `ERACE` mean that nothing was published. After any other error, it is unknown whether the
 * device was published if `onCommit` was called.
 *
 * @param seen the nodes that the plan was made from.
 * @param options `onCommit` is called just before the commit is sent to xenstored.
 */
export async function publish(
  store: Xenstore,
  instance: VbdInstance,
  seen: VbdBackend,
  publication: Publication,
  options: RequestOptions & { readonly onCommit?: () => void },
): Promise<void> {
  const { vbd, directory } = instance;
  const steps = publishSteps(vbd, seen, publication, instance.keepsOpenedNode);
  const outcome = await store.transact(steps, {
    signal: options.signal,
    // This runs within the transaction: a vbd that is made anew after this check makes the
    // transaction fail.
    confirm: () => {
      if (!directory.isCurrent()) return false;
      options.onCommit?.();
      return true;
    },
  });
  if (outcome.committed) return;
  const failed = steps[outcome.failed];
  throw failed === undefined ? madeAnew(vbd) : refusal(vbd, failed, outcome.found);
}

/**
 * Makes sure that XenStore names to blkback what was seen, or still nothing. Throws `ERACE`, and as
 * the store does.
 */
export async function requireNamedAsSeen(
  store: Xenstore,
  vbd: VbdPath,
  seen: VbdBackend,
  options: RequestOptions,
): Promise<void> {
  const path = backendNode(vbd, 'physical-device');
  const value = seen.bytes('physical-device');
  const [found] = await store.readMany([path], options);
  if (found?.toString('hex') === value?.toString('hex')) return;
  throw refusal(vbd, { op: 'expect', path, value }, found);
}

/** Returns whether an error of `publish` means that nothing was published. */
export function isUnpublished(error: unknown): boolean {
  return error instanceof VbdError && ['EGONE', 'ESTATE', 'EOPEN', 'ERACE'].includes(error.code);
}

function madeAnew(vbd: VbdPath): VbdError {
  return new VbdError(
    `${vbd.backend} was made anew while the device was being opened: it is another vbd now`,
    { code: 'ERACE' },
  );
}

function refusal(vbd: VbdPath, failed: TransactionStep, value: Buffer | undefined): VbdError {
  const found = value?.toString('utf8');
  if (failed.path.endsWith('/physical-device')) {
    const change = found === undefined ? 'removed' : `written (${quote(found)})`;
    return new VbdError(
      `${failed.path} was ${change} by somebody else while the device was being opened`,
      { code: 'ERACE' },
    );
  }
  if (failed.path.endsWith('/opened') && found !== undefined) {
    return new VbdError(
      `${failed.path} is ${quote(found)}: blkback has opened a device for this vbd already; the vbd has to be removed first`,
      { code: 'EOPEN' },
    );
  }
  if (found === undefined) {
    return new VbdError(
      `${vbd.backend} went away while the device was being opened: ${failed.path} is gone`,
      { code: 'EGONE' },
    );
  }
  const why = failed.path.endsWith('/state')
    ? `blkback takes a device only in state ${XenbusState.InitWait} (InitWait)`
    : 'what was opened is not what is asked for now';
  return new VbdError(
    `${failed.path} changed to ${quote(found)} while the device was being opened; ${why}`,
    { code: 'ESTATE' },
  );
}
