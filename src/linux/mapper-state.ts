import type { Devnum } from './devnum.js';
import { DM_FLAG, type DmReply, decodeTargets, type RawTarget } from './dm-ioctl.js';

/** One line of a mapper device's table. */
export interface MapperTarget {
  /** In sectors of 512 bytes, like `length`. */
  readonly start: bigint;
  readonly length: bigint;
  readonly type: string;
  /** A digest stands in the place of a dm-crypt key. */
  readonly params: string;
}

/** The state of a mapper device, all of it from one request. */
export interface MapperState {
  readonly devnum: Devnum;
  /** The kernel's name, in which unusual characters may be mangled. */
  readonly name: string;
  /** Empty if the device has none. */
  readonly uuid: string;
  readonly openCount: number;
  /** Whether there is a live table. */
  readonly live: boolean;
  readonly suspended: boolean;
  readonly readOnly: boolean;
  /** Whether the last close removes the device. */
  readonly deferredRemove: boolean;
  readonly targets: readonly MapperTarget[];
}

export function readState(reply: DmReply, buffer: Buffer): MapperState {
  const has = (flag: number): boolean => (reply.flags & flag) !== 0;
  const live = has(DM_FLAG.activePresent);
  return {
    devnum: reply.devnum,
    name: reply.name,
    uuid: reply.uuid,
    openCount: reply.openCount,
    live,
    suspended: has(DM_FLAG.suspended) || has(DM_FLAG.internalSuspend),
    readOnly: has(DM_FLAG.readOnly),
    deferredRemove: has(DM_FLAG.deferredRemove),
    targets: live ? decodeTargets(buffer, reply.targetCount).map(readTarget) : [],
  };
}

/** dm-crypt shows its key among the parameters. The key never becomes a string here. */
function readTarget({ start, length, type, params }: RawTarget): MapperTarget {
  if (type !== 'crypt') return { start, length, type, params: params.toString('utf8') };
  const from = params.indexOf(' ') + 1;
  const to = params.indexOf(' ', from);
  const { createHash } = process.getBuiltinModule('node:crypto');
  const digest = createHash('sha256').update(params.subarray(from, to)).digest('hex');
  const text = `${params.toString('utf8', 0, from)}sha256:${digest}${params.toString('utf8', to)}`;
  return { start, length, type, params: text };
}
