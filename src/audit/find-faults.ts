import { quote } from '../util/one-line.js';
import type { Finding } from './finding.js';
import type { HostState } from './host-state.js';
import { judgeVbd, shortName } from './judge-vbd.js';

/** Options of `findFaults`. */
export interface FindOptions {
  /** Whether `gc` may end loop devices that nobody uses, although they may be an administrator's. */
  readonly loops?: boolean | undefined;
}

/** Returns a finding for everything in the state that is left behind or contradictory. Pure. */
export function findFaults(state: HostState, { loops = false }: FindOptions = {}): Finding[] {
  const known = new Map(state.vbds.map((seen) => [seen.vbd.backend, seen]));
  return [
    ...state.vbds.flatMap(judgeVbd),
    ...state.overlaps.map(
      ({ writer, other, device }): Finding => ({
        kind: 'double-writer',
        object: `${shortName(writer)} and ${shortName(other)}`,
        meaning: `both have bytes of ${device} open, and ${shortName(writer)} may write them: without a file system made for that they destroy each other's data`,
        command: `xl block-detach ${other.domid} ${other.devid}`,
        leftBecause:
          'blkback has it open for both, and only you know which of them is to lose its disk',
      }),
    ),
    ...state.orphans.map(
      ({ domid, devid, backendDomid }): Finding => ({
        kind: 'backend-domain-gone',
        object: `disk ${devid} of guest ${domid}`,
        meaning: `domain ${backendDomid}, which served it, is gone: nothing answers the guest's reads and writes`,
        command: `xl destroy ${domid}`,
        leftBecause:
          'the guest still has the disk, and a driver domain that is started anew does not take it over',
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
    ...state.loops.map((loop): Finding => {
      const { path, backingFile, autoclear } = loop;
      const found = { kind: 'loop-unexplained', object: path } as const;
      if (autoclear) {
        return {
          ...found,
          meaning: `nobody tells who has it open, over ${backingFile}: blkback, just before it closes it, or another part of the kernel`,
          command: `losetup -d ${path}`,
          leftBecause: 'a loop device that clears itself is bound only while somebody has it open',
        };
      }
      const idle = {
        ...found,
        meaning: `it stands over ${backingFile}, and neither a guest nor this host uses it: another script may have left it`,
        command: `losetup -d ${path}`,
      };
      const leftBecause =
        'it may belong to an administrator who is about to use it; gc --loops ends it if nobody has it open';
      return loops ? { ...idle, repair: { action: 'clear-loop', loop } } : { ...idle, leftBecause };
    }),
  ];
}
