import { formatDevnum } from '../linux/devnum.js';
import type { FamiliarDevice } from '../topology/familiar-name.js';
import { toOneLine } from '../util/one-line.js';
import type { Conflict } from './find-conflicts.js';
import type { GuestUse } from './find-guest-uses.js';
import type { SharingRequest } from './sharing-request.js';

/**
 * Returns one sentence that says who stands in the way of an export, and what would let it through.
 * `vdev` is the name that the other guest has for the disk, if it is known.
 */
export function describeConflict(
  wanted: SharingRequest,
  conflict: Conflict,
  vdev: string | undefined,
): string {
  const { subject, access, domid } = wanted;
  const who = domid === undefined ? 'nobody else can' : `domain ${domid} cannot`;
  const use = toOneLine(
    `${subject} ${clauseStart(wanted, conflict)}${describeUse(conflict, vdev)}`,
  );
  if (wanted.purpose === 'resize') {
    return `${use}; so it cannot be given another size (${endOf(conflict) ?? 'detach it there'} first)`;
  }
  return `${use}; so ${who} have it ${access} (${advice(wanted, conflict)})`;
}

/**
 * Returns the beginning of the clause about a conflict. A conflict may be on another device that
 * has the same bytes. The clause then names that device.
 */
function clauseStart({ device, subject }: SharingRequest, conflict: Conflict): string {
  if (conflict.devnum === undefined || conflict.path === subject) return 'is ';
  if (device === undefined || device === formatDevnum(conflict.devnum)) return 'is ';
  return `shares bytes with ${conflict.path}, which is `;
}

function describeUse(conflict: Conflict, vdev: string | undefined): string {
  switch (conflict.kind) {
    case 'guest':
      return describeGuest(conflict, vdev);
    case 'mount':
      return `mounted ${conflict.access} here, ${withName(conflict.path, conflict.holder)} on ${conflict.where}`;
    case 'swap':
      return `used as swap here (${conflict.path})`;
    case 'claim':
      return conflict.where === ''
        ? `held exclusively here by a program that has opened ${conflict.path}`
        : `in use here: ${withName(conflict.where, conflict.holder)} stands on ${conflict.path}`;
    case 'image': {
      const who = conflict.where || 'a program that cannot be seen from here';
      return `open ${conflict.access} here in ${who}, which has locked it as a disk image`;
    }
    case 'unexplained': {
      const { pendingFor, requests } = conflict;
      if (pendingFor !== undefined) {
        return `still to be opened ${conflict.access} by blkback for domain ${pendingFor}, by all signs, although XenStore names it no more`;
      }
      if (requests !== undefined) {
        return `still working off ${requests === 1 ? 'a request' : `${requests} requests`} of an unknown user, such as a guest that has ended or a program that reads the disk`;
      }
      const who =
        conflict.processes.join(', ') || 'the kernel, by all signs for a vbd that has ended';
      return `still held open here by ${who}, through ${withName(conflict.path, conflict.holder)}`;
    }
  }
}

/**
 * Adds the name that people know, such as `vg0/root`, to the kernel's name, such as `/dev/dm-3`.
 */
function withName(path: string, device: FamiliarDevice | undefined): string {
  const known = device?.name;
  return known === undefined || path.endsWith(`/${known}`) ? path : `${known} (${path})`;
}

function describeGuest(guest: GuestUse, vdev: string | undefined): string {
  const { domain, vbd, access, nodesGone, stale, despite } = guest;
  const name = domain.name === undefined ? '' : ` (${domain.name})`;
  const disk = `domain ${domain.domid}${name} as ${vdev ?? `device ${vbd.devid}`}`;
  if (nodesGone) {
    return `still open ${access} in blkback for ${disk}, although ${vbd.backend} is gone from XenStore`;
  }
  if (stale) {
    return `at risk of being opened ${access} for ${disk}: ${vbd.backend} names its number for a device that had it before, and blkback may still open that number`;
  }
  const reason = {
    'encrypted-layer':
      '; one virtual machine or not, a layer with a key of its own destroys what others write',
    'unreadable-vm':
      '; whether that is the same virtual machine may not be read here, and same-vm=assume takes it for granted',
    none: '',
  }[despite ?? 'none'];
  return `attached ${access} to ${disk}${reason}`;
}

function advice(wanted: SharingRequest, conflict: Conflict): string {
  if (conflict.kind === 'guest' && conflict.stale) {
    const { domid, devid } = conflict.vbd;
    return `xl block-detach --force ${domid} ${devid} ends that`;
  }
  if (conflict.kind === 'unexplained' || (conflict.kind === 'guest' && conflict.nodesGone)) {
    return 'it is free as soon as that has ended';
  }
  const end = endOf(conflict);
  return `${end === undefined ? '' : `${end} ends that; `}${allowing(wanted, conflict)}`;
}

/** Returns the command that ends a use; `undefined` where no command is known. */
function endOf(conflict: Conflict): string | undefined {
  switch (conflict.kind) {
    case 'mount':
      return `umount ${conflict.where}`;
    case 'swap':
      return `swapoff ${conflict.path}`;
    case 'claim':
      return conflict.holder?.end;
    default:
      return undefined;
  }
}

/** Returns what the requester could change to get the bytes beside this use. */
function allowing({ sharing, access }: SharingRequest, conflict: Conflict): string {
  if (access === 'read-write' && conflict.access === 'read-only' && sharing === 'deny') {
    return 'mode r could, or sharing=read-only';
  }
  if (access === 'read-only' && sharing === 'deny') return 'sharing=read-only permits that';
  return 'sharing=allow would not ask';
}

/**
 * Returns the sentence for the guest that is refused, which can read it. Guests must not learn who
 * uses the bytes, or by which path.
 */
export function guestSentence({ access }: SharingRequest): string {
  return `its disk cannot be had ${access}, as others use the same bytes; the log of the backend domain says who`;
}
