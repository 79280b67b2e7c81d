import { formatDevnum } from '../linux/devnum.js';
import { quote } from '../util/one-line.js';
import type { VbdPath } from '../vbd/vbd-path.js';
import type { Finding, Repair, SeenVbd } from './finding.js';
import type { HostVbd } from './host-state.js';

/** Returns the findings about one vbd. Pure. */
export function judgeVbd(seen: HostVbd): Finding[] {
  return [judgeOpen(seen), judgeWaiting(seen), judgeIdle(seen), judgePublication(seen)].filter(
    (finding) => finding !== undefined,
  );
}

/**
 * Returns the finding about a publication that no longer names the device that was published, if it
 * does not. While blkback does not have the device open, the publication is a danger: blkback opens
 * whatever device has the number, unless it checks the sequence number.
 */
function judgePublication(seen: HostVbd): Finding | undefined {
  const { vbd, published, open } = seen;
  // The finding about a vbd that is idle ends the publication, too.
  if (published === undefined || (open === undefined && (seen.guestGone || isEnding(seen)))) return;
  const { devnum, diskseq, presentDiskseq, isPresent } = published;
  const name = shortName(vbd);
  const end =
    open === undefined
      ? { command: `xen-blkback remove ${name}`, repair: detachRepair(seen) }
      : {
          command: `xl block-detach ${vbd.domid} ${vbd.devid}`,
          leftBecause: `blkback has device ${formatDevnum(open)} open for the guest`,
        };
  if (!isPresent) {
    return {
      kind: 'device-gone',
      object: name,
      meaning: `XenStore names device ${formatDevnum(devnum)} to it, and there is no such device any more`,
      ...end,
    };
  }
  if (diskseq === undefined || diskseq === presentDiskseq) return undefined;
  return {
    kind: 'diskseq-differs',
    object: name,
    meaning: `device ${formatDevnum(devnum)} was published with sequence number ${diskseq}, and has ${presentDiskseq ?? 'none'} now: it is another disk, or another medium is in it`,
    ...end,
  };
}

/** Returns the finding about a vbd for which blkback has a device open, if there is one. */
function judgeOpen({ vbd, nodesGone, guestGone, open }: HostVbd): Finding | undefined {
  if (open === undefined || !(nodesGone || guestGone)) return undefined;
  return {
    kind: 'nodes-gone',
    object: shortName(vbd),
    meaning: `blkback has device ${formatDevnum(open)} open for it, although its ${nodesGone ? 'backend' : 'frontend'} is gone from XenStore: the disk stays in use until the guest is gone`,
    command: `xl destroy ${vbd.domid}`,
    leftBecause: 'blkback has the device open, and closes it when the guest is gone',
  };
}

/**
 * Returns the finding about a disk that dom0 itself has and does not use, if there is one. libxl
 * gives a disk to dom0 while a boot loader reads it, and never takes it back by a time-out. When
 * libxl gives up waiting for dom0's frontend, the vbd stays, and the guest's own disk is refused.
 */
function judgeWaiting({ vbd, nodesGone, guestGone, open, state }: HostVbd): Finding | undefined {
  if (open === undefined || nodesGone || guestGone || vbd.domid !== 0 || state !== '2') return;
  return {
    kind: 'dom0-waits',
    object: shortName(vbd),
    meaning: `blkback has device ${formatDevnum(open)} open for dom0 itself, where no xen-blkfront has taken it: a boot loader that libxl has given up leaves that, and no guest may have the disk meanwhile`,
    // Without a frontend `xl block-detach`, also with --force, waits for blkback in vain.
    command: `xenstore-rm ${vbd.backend} && xen-blkback remove ${shortName(vbd)} && xl block-detach 0 ${vbd.devid}`,
    leftBecause: 'blkback has the device open, and a boot loader may be about to read it',
  };
}

/** Returns the finding about a vbd for which blkback has no device open, if there is one. */
function judgeIdle(seen: HostVbd): Finding | undefined {
  const { vbd, nodesGone, guestGone, frontend, open, state, script, node } = seen;
  if (open !== undefined || nodesGone) return undefined;
  const name = shortName(vbd);
  if (guestGone && frontend !== undefined) return judgeGuestGone(seen, frontend);
  if (isEnding(seen) && node !== undefined) {
    return {
      kind: 'other-script',
      object: name,
      meaning: `blkback is done with it (state ${state}), and ${script ?? 'its script'} has not taken ${node} away`,
      command: removeByScript(seen),
      ...(isXenBlock(seen) ? { repair: detachRepair(seen) } : leftToScript(seen)),
    };
  }
  if (isEnding(seen) && seen.published !== undefined) {
    return {
      kind: 'not-open',
      object: name,
      meaning: `blkback is done with it (state ${state}), and XenStore still names device ${formatDevnum(seen.published.devnum)} to it: no remove has run`,
      command: `xen-blkback remove ${name}`,
      repair: detachRepair(seen),
    };
  }
  if (seen.hotplugStatus !== 'error' && seen.hotplugStatus !== 'busy') return undefined;
  return {
    kind: 'attach-failed',
    object: name,
    meaning: `it has no device, as its add has failed: ${quote(seen.hotplugError ?? seen.hotplugStatus)}`,
    command: `xl block-detach ${vbd.domid} ${vbd.devid}`,
    leftBecause: `its guest is there: give the disk up, or mend the cause and run xen-blkback add ${name}`,
  };
}

function judgeGuestGone(seen: HostVbd, frontend: string): Finding {
  const { vbd, node } = seen;
  const found = {
    kind: 'backend-without-guest',
    object: vbd.backend,
    meaning: `its guest is gone from XenStore (${frontend}), and blkback has nothing open for it`,
  } as const;
  if (node !== undefined && !isXenBlock(seen)) {
    const command = `${removeByScript(seen)} && xenstore-rm ${vbd.backend}`;
    return { ...found, command, ...leftToScript(seen) };
  }
  return {
    ...found,
    command: `xen-blkback remove ${shortName(vbd)} && xenstore-rm ${vbd.backend}`,
    repair: { action: 'remove-backend', vbd, frontend, seen: toSeen(seen) },
  };
}

/** Tells whether blkback is done with the vbd, and the guest is not rebooting. */
function isEnding({ state, online }: HostVbd): boolean {
  return (state === '5' || state === '6') && !online;
}

/** Tells whether Xen's own script serves the vbd. What it makes is a loop device over the target. */
function isXenBlock({ script }: HostVbd): boolean {
  return script === 'block';
}

function removeByScript({ vbd, script }: HostVbd): string {
  return `XENBUS_PATH=${vbd.backend} /etc/xen/scripts/${script ?? 'block'} remove`;
}

function leftToScript({ script = 'its script', node }: HostVbd): { readonly leftBecause: string } {
  return { leftBecause: `only ${script} knows how ${node} is taken away` };
}

function detachRepair(seen: HostVbd): Repair {
  return { action: 'detach', vbd: seen.vbd, seen: toSeen(seen) };
}

function toSeen({ state, published, node }: HostVbd): SeenVbd {
  return { state, published, node };
}

/** Returns a name such as `7/51712`. The name of a disk that is no vbd includes its kind. */
export function shortName({ backend }: VbdPath): string {
  return backend.replace(/^backend\/(vbd\/)?/, '');
}
