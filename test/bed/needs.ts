import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { built, findXenstored } from './paths.js';
import { CLI } from './script.js';
import { skipByName } from './skip.js';

/** The program User-Mode Linux. */
export const LINUX = '/usr/bin/linux.uml';

/** The options with which setpriv runs a program as a user without any rights. */
export const ANOTHER_USER = ['--reuid=65534', '--regid=65534', '--clear-groups'] as const;

/** A thing of the machine that a test may need. */
export type Need = keyof typeof BEDS;

/** For each need, the bed that it is part of. */
const BEDS = {
  root: 'host',
  loop: 'host',
  xenstored: 'host',
  overlay: 'host',
  systemd: 'host',
  strace: 'host',
  fuse: 'host',
  debhelper: 'host',
  lintian: 'host',
  /** That another user can run the programs of this checkout. */
  'another user': 'host',
  /** User-Mode Linux. */
  uml: 'uml',
  /** Device-mapper in the running kernel, which here is the kernel of User-Mode Linux. */
  mapper: 'uml',
  /** systemd-udevd, and the tools of md, multipath and LVM with their rules. */
  udev: 'uml',
} as const;

/**
 * Skips the test, or in a `before` hook its whole suite, if the machine lacks something that it
 * needs. Prints the name and the reason. Throws instead if `XEN_BLKBACK_BEDS` lists the bed, as in
 * CI.
 */
export function needs(context: Mocha.Context, ...list: readonly Need[]): void {
  for (const need of list) {
    const reason = missing(need);
    if (reason === undefined) continue;
    const bed = BEDS[need];
    if (process.env.XEN_BLKBACK_BEDS?.split(/[\s,]+/).includes(bed)) {
      throw new Error(`XEN_BLKBACK_BEDS asks for the ${bed} bed, but ${reason}`);
    }
    skipByName(context, reason);
  }
}

/** Returns the reason why the machine cannot serve a need, or `undefined` if it can. */
export function missing(need: Need): string | undefined {
  switch (need) {
    case 'root':
      return process.getuid?.() === 0 ? undefined : 'it must run as root';
    case 'loop':
      return existsSync('/dev/loop-control') ? undefined : 'there is no /dev/loop-control';
    case 'xenstored':
      if (findXenstored() === undefined) return 'no /usr/lib/xen-*/bin/xenstored is installed';
      return existsSync(built('xenstored-preload.so')) && existsSync(built('blkback'))
        ? undefined
        : 'the C parts are not built (make -C test/bed)';
    case 'systemd':
      return existsSync('/usr/bin/systemd-socket-activate')
        ? undefined
        : 'systemd is not installed';
    case 'strace':
      return existsSync('/usr/bin/strace') ? undefined : 'strace is not installed';
    case 'debhelper':
      return existsSync('/usr/bin/dh') ? undefined : 'debhelper is not installed';
    case 'lintian':
      return existsSync('/usr/bin/lintian') ? undefined : 'lintian is not installed';
    case 'another user':
      return spawnSync('setpriv', [...ANOTHER_USER, 'test', '-r', CLI]).status === 0
        ? undefined
        : `another user cannot read ${CLI}`;
    case 'fuse':
      return existsSync('/dev/fuse') ? undefined : 'there is no /dev/fuse';
    case 'overlay':
      return spawnSync('unshare', [
        ...['--mount', 'mount', '-t', 'overlay', 'none'],
        ...['-o', 'lowerdir=/usr:/etc', '/etc'],
      ]).status === 0
        ? undefined
        : 'an overlay cannot be mounted here';
    case 'uml':
      if (process.getuid?.() !== 0) return 'it must run as root';
      return existsSync(LINUX) ? undefined : `${LINUX} is not installed (user-mode-linux)`;
    case 'mapper':
      // The node of device-mapper may exist although device-mapper is not loaded.
      return /\bdevice-mapper$/m.test(readFileSync('/proc/misc', 'utf8'))
        ? undefined
        : 'the kernel has no device-mapper loaded';
    case 'udev':
      return existsSync(built('storage-tools/complete'))
        ? undefined
        : 'there are no storage tools (test/bed/storage-tools)';
  }
}
