import { formatDevnum } from '../linux/devnum.js';
import { quote } from '../util/one-line.js';
import type { VbdPath } from '../vbd/vbd-path.js';
import type { Finding } from './finding.js';
import type { HostState, HostVbd } from './host-state.js';

/** Returns a finding for everything in the state that is left behind or contradictory. Pure. */
export function findFaults(state: HostState): Finding[] {
  const known = new Map(state.vbds.map((seen) => [seen.vbd.backend, seen]));
  return [
    ...state.vbds.flatMap(judgeVbd),
    ...state.overlaps.map(
      ({ writer, other, device }): Finding => ({
        kind: 'double-writer',
        object: `${shortName(writer)} and ${shortName(other)}`,
        meaning: `both have bytes of ${device} open, and ${shortName(writer)} may write them: without a file system made for that they destroy each other's data`,
        command: `xl block-detach ${other.domid} ${other.devid}`,
        repair: undefined,
      }),
    ),
    ...state.layers.flatMap(({ vbd, layer }): Finding[] => {
      if (layer.openCount > 0 || known.has(vbd.backend)) return [];
      return [
        {
          kind: 'layer-left',
          object: `mapper device ${layer.name}`,
          meaning: `it was made for vbd ${shortName(vbd)}, which is gone, and nobody has it open`,
          command: `dmsetup remove ${layer.name}`,
          repair: { action: 'detach-gone', vbd },
        },
      ];
    }),
    ...state.records.flatMap(({ vbd, path }): Finding[] => {
      if (known.has(vbd.backend)) return [];
      return [
        {
          kind: 'record-left',
          object: path,
          meaning: `it says what is to be undone of vbd ${shortName(vbd)}, which is gone: a loop device that does not clear itself, for one`,
          command: `xen-blkback remove ${shortName(vbd)}`,
          repair: { action: 'detach-gone', vbd },
        },
      ];
    }),
    ...state.strayFiles.map(
      (path): Finding => ({
        kind: 'record-unreadable',
        object: path,
        meaning: 'it is no record of a vbd, or was not written to its end',
        command: `rm ${path}`,
        repair: { action: 'remove-file', path },
      }),
    ),
    ...state.errors.flatMap(({ vbd, text }): Finding[] => {
      if (known.has(vbd.backend)) return [];
      return [
        {
          kind: 'error-left',
          object: vbd.error,
          meaning: `the kernel has reported ${quote(text)} of vbd ${shortName(vbd)}, which is gone`,
          command: `xenstore-rm ${vbd.error.replace(/\/error$/, '')}`,
          repair: { action: 'remove-error', vbd },
        },
      ];
    }),
    ...state.loops.map(
      ({ path, backingFile, autoclear }): Finding => ({
        kind: 'loop-unexplained',
        object: path,
        meaning: autoclear
          ? `nobody tells who has it open, over ${backingFile}: blkback, just before it closes it, or another part of the kernel`
          : `it stands over ${backingFile}, and neither a guest nor this host uses it: another script may have left it`,
        command: `losetup -d ${path}`,
        // The loop device may belong to an administrator who is about to use it.
        repair: undefined,
      }),
    ),
  ];
}

function judgeVbd(seen: HostVbd): Finding[] {
  const found = [judgeOpen(seen), judgeWaiting(seen), judgeIdle(seen)].filter(
    (finding) => finding !== undefined,
  );
  const { vbd, published, open } = seen;
  if (published === undefined || (open === undefined && seen.guestGone)) return found;
  const { devnum, diskseq, presentDiskseq, isPresent } = published;
  if (!isPresent) {
    found.push({
      kind: 'device-gone',
      object: shortName(vbd),
      meaning: `XenStore names device ${formatDevnum(devnum)} to it, and there is no such device any more`,
      command: `xl block-detach ${vbd.domid} ${vbd.devid}`,
      repair: undefined,
    });
  } else if (diskseq !== undefined && diskseq !== presentDiskseq) {
    found.push({
      kind: 'diskseq-differs',
      object: shortName(vbd),
      meaning: `device ${formatDevnum(devnum)} was published with sequence number ${diskseq}, and has ${presentDiskseq ?? 'none'} now: it is another disk, or another medium is in it`,
      command: `xl block-detach ${vbd.domid} ${vbd.devid}`,
      repair: undefined,
    });
  }
  return found;
}

/** Returns the finding about a vbd for which blkback has a device open, if there is one. */
function judgeOpen({ vbd, nodesGone, guestGone, open }: HostVbd): Finding | undefined {
  if (open === undefined || !(nodesGone || guestGone)) return undefined;
  return {
    kind: 'nodes-gone',
    object: shortName(vbd),
    meaning: `blkback has device ${formatDevnum(open)} open for it, although its ${nodesGone ? 'backend' : 'frontend'} is gone from XenStore: the disk stays in use until the guest is gone`,
    command: `xl destroy ${vbd.domid}`,
    repair: undefined,
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
    repair: undefined,
  };
}

/** Returns the finding about a vbd for which blkback has no device open, if there is one. */
function judgeIdle(seen: HostVbd): Finding | undefined {
  const { vbd, nodesGone, guestGone, frontend, open, state, online, script, node } = seen;
  if (open !== undefined || nodesGone) return undefined;
  if (guestGone && frontend !== undefined) {
    return {
      kind: 'backend-without-guest',
      object: vbd.backend,
      meaning: `its guest is gone from XenStore (${frontend}), and blkback has nothing open for it`,
      command: `xen-blkback remove ${shortName(vbd)} && xenstore-rm ${vbd.backend}`,
      repair: { action: 'remove-backend', vbd, frontend },
    };
  }
  const isEnding = (state === '5' || state === '6') && !online;
  if (isEnding && node !== undefined) {
    return {
      kind: 'other-script',
      object: shortName(vbd),
      meaning: `blkback is done with it (state ${state}), and ${script ?? 'its script'} has not taken ${node} away`,
      command: `XENBUS_PATH=${vbd.backend} /etc/xen/scripts/${script ?? 'block'} remove`,
      repair: undefined,
    };
  }
  if (isEnding && seen.published !== undefined) {
    return {
      kind: 'not-open',
      object: shortName(vbd),
      meaning: `blkback is done with it (state ${state}), and XenStore still names device ${formatDevnum(seen.published.devnum)} to it: no remove has run`,
      command: `xen-blkback remove ${shortName(vbd)}`,
      repair: { action: 'detach', vbd },
    };
  }
  if (seen.hotplugStatus !== 'error' && seen.hotplugStatus !== 'busy') return undefined;
  return {
    kind: 'attach-failed',
    object: shortName(vbd),
    meaning: `it has no device, as its add has failed: ${quote(seen.hotplugError ?? seen.hotplugStatus)}`,
    command: `xl block-detach ${vbd.domid} ${vbd.devid}`,
    repair: undefined,
  };
}

/** Returns a name such as `7/51712`. The name of a disk that is no vbd includes its kind. */
function shortName({ backend }: VbdPath): string {
  return backend.replace(/^backend\/(vbd\/)?/, '');
}
