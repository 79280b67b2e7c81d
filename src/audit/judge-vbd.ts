import { formatDevnum } from '../linux/devnum.js';
import { quote } from '../util/one-line.js';
import type { VbdPath } from '../vbd/vbd-path.js';
import type { Ending, Finding, Repair, SeenVbd } from './finding.js';
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
  if (published === undefined || (open === undefined && (seen.frontendGone || isEnding(seen))))
    return;
  const { devnum, diskseq, presentDiskseq, isPresent } = published;
  const name = shortName(vbd);
  const end =
    open === undefined
      ? endPublication(seen)
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
function judgeOpen({ vbd, nodesGone, frontendGone, open }: HostVbd): Finding | undefined {
  if (open === undefined || !(nodesGone || frontendGone)) return undefined;
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
function judgeWaiting({ vbd, nodesGone, frontendGone, open, state }: HostVbd): Finding | undefined {
  if (open === undefined || nodesGone || frontendGone || vbd.domid !== 0 || state !== '2') return;
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
  const { vbd, nodesGone, frontendGone, frontend, open, state, script } = seen;
  if (open !== undefined || nodesGone) return undefined;
  const name = shortName(vbd);
  if (frontendGone && frontend !== undefined) return judgeFrontendGone(seen, frontend);
  if (isEnding(seen) && (seen.node !== undefined || isAnothers(seen))) {
    return {
      kind: 'other-script',
      object: name,
      meaning: `blkback is done with it (state ${state}), and ${script ?? 'its script'} has not taken ${madeByScript(seen)} away`,
      command: removeByScript(seen),
      ...(isAnothers(seen) ? leftToScript(seen) : { repair: detachRepair(seen) }),
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

function judgeFrontendGone(seen: HostVbd, frontend: string): Finding {
  const { vbd, guestGone } = seen;
  const name = shortName(vbd);
  if (!guestGone) {
    return {
      kind: 'backend-without-frontend',
      object: vbd.backend,
      meaning: `its frontend is gone from XenStore (${frontend}), its guest is there, and blkback has nothing open for it: a detach was cut short, or the guest has removed its nodes`,
      command: `xen-blkback remove ${name} && xenstore-rm ${vbd.backend}`,
      leftBecause: 'its guest is there, and its toolstack may be about to detach it',
    };
  }
  const found = {
    kind: 'backend-without-guest',
    object: vbd.backend,
    meaning: `its guest is gone from XenStore (${frontend}), and blkback has nothing open for it`,
  } as const;
  if (isAnothers(seen)) {
    const command = `${removeByScript(seen)} && xenstore-rm ${vbd.backend}`;
    return { ...found, command, ...leftToScript(seen) };
  }
  return {
    ...found,
    command: `xen-blkback remove ${name} && xenstore-rm ${vbd.backend}`,
    repair: { action: 'remove-backend', vbd, frontend, seen: toSeen(seen) },
  };
}

/** Tells whether blkback is done with the vbd, and the guest is not rebooting. */
function isEnding({ state, online }: HostVbd): boolean {
  return (state === '5' || state === '6') && !online;
}

/** Returns how a publication is ended for which blkback has nothing open. */
function endPublication(seen: HostVbd): Ending {
  return isAnothers(seen)
    ? { command: removeByScript(seen), ...leftToScript(seen) }
    : { command: `xen-blkback remove ${shortName(seen.vbd)}`, repair: detachRepair(seen) };
}

/**
 * Tells whether the vbd has something from a script that nobody here knows. Xen's own script is
 * known: what it makes is a loop device over the target.
 */
function isAnothers({ script, isScriptUnknown, node, published }: HostVbd): boolean {
  if (isScriptUnknown) return node !== undefined || published !== undefined;
  return node !== undefined && script !== 'block';
}

/** Names what the script of a vbd has made: its `node`, or else the device that it has published. */
function madeByScript({ node, published }: HostVbd): string {
  return (
    node ?? (published === undefined ? 'its device' : `device ${formatDevnum(published.devnum)}`)
  );
}

function removeByScript({ vbd, script }: HostVbd): string {
  return `XENBUS_PATH=${vbd.backend} /etc/xen/scripts/${script ?? 'block'} remove`;
}

function leftToScript(seen: HostVbd): { readonly leftBecause: string } {
  const { script = 'its script' } = seen;
  return { leftBecause: `only ${script} knows how ${madeByScript(seen)} is taken away` };
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
