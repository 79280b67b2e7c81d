import type { RequestOptions, Xenstore } from '../xenstore/xenstore.js';
import { VbdError } from './vbd-error.js';
import type { VbdPath } from './vbd-path.js';

/**
 * The nodes of a backend directory that matter here. docs/xenstore.md tells their design and
 * meaning.
 */
const NODES = [
  'params',
  'mode',
  'device-type',
  'frontend',
  'dev',
  'online',
  'state',
  'opened',
  'physical-device',
  'physical-device-path',
  'diskseq',
  'hotplug-status',
  'hotplug-error',
  'script',
] as const;

/**
 * The nodes that an attach needs for a vbd that names no device yet. They are no more than the
 * connection sends at once. `opened` comes after `state`: blkback makes `opened` before it writes
 * state 2, so that a reader that has seen state 2 sees `opened` too.
 */
export const ATTACH_NODES = [
  'frontend',
  'params',
  'mode',
  'device-type',
  'dev',
  'physical-device',
  'state',
  'opened',
] as const satisfies readonly VbdNode[];

/** The name of a node of a backend directory. */
export type VbdNode = (typeof NODES)[number];

/**
 * The kernel's errors that end an attempt to open a published device: nothing is open after them.
 * The texts are those of `backend_changed` (Linux 6.1, 6.12 and 7.3,
 * drivers/block/xen-blkback/xenbus.c), and of the kernels with disk sequence numbers
 * (docs/kernel-diskseq.md). All other errors are about the guest's end, and a guest can cause many
 * of them. blkback looks at a publication whatever happened there. A text of the guest's own stands
 * behind others, so the whole text counts.
 */
const OPEN_FAILED =
  /^-?\d+ (creating vbd structure|creating sysfs entries|reading (mode|physical-device|diskseq)|writing opened)$/;

/** The backend directory of a vbd at one moment. */
export class VbdBackend {
  readonly #values: ReadonlyMap<VbdNode, Buffer>;
  /** The kernel's error about this vbd, `<errno> <text>`. It may be the error of a predecessor. */
  readonly kernelError: string | undefined;

  constructor(values: ReadonlyMap<VbdNode, Buffer>, kernelError: string | undefined) {
    this.#values = values;
    this.kernelError = kernelError;
  }

  /** Whether the backend exists. The kernel's own test is a readable `frontend`. */
  get exists(): boolean {
    return this.#values.has('frontend');
  }

  /** Whether the kernel's error says that the published device was not opened. */
  get hasFailedToOpen(): boolean {
    return this.kernelError !== undefined && OPEN_FAILED.test(this.kernelError);
  }

  bytes(node: VbdNode): Buffer | undefined {
    return this.#values.get(node);
  }

  text(node: VbdNode): string | undefined {
    return this.#values.get(node)?.toString('utf8');
  }
}

/** Throws `EBACKEND` unless there is a backend directory. */
export function requireBackend(vbd: VbdPath, backend: VbdBackend): void {
  if (backend.exists) return;
  throw new VbdError(
    `there is no backend ${vbd.backend} in XenStore (it has no frontend node): has the toolstack removed it?`,
    { code: 'EBACKEND' },
  );
}

/**
 * Reads a vbd's backend directory and error node in one trip, or only `nodes` where they are given.
 * Each node is a request to xenstored, and xenstored serves one after another.
 */
export async function readVbdBackend(
  store: Xenstore,
  vbd: VbdPath,
  options: RequestOptions & { readonly nodes?: readonly (VbdNode | 'error')[] } = {},
): Promise<VbdBackend> {
  const { nodes = [...NODES, 'error' as const], ...request } = options;
  const paths = nodes.map((node) => (node === 'error' ? vbd.error : `${vbd.backend}/${node}`));
  const values = await store.readMany(paths, request);
  const found = new Map<VbdNode, Buffer>();
  let kernelError: string | undefined;
  nodes.forEach((node, index) => {
    const value = values[index];
    if (node === 'error') kernelError = value?.toString('utf8');
    else if (value !== undefined) found.set(node, value);
  });
  return new VbdBackend(found, kernelError);
}
