// The checks of `doctor`. Each tells what it has found, and what to do if that is not well.

import { accessSync, constants, statSync } from 'node:fs';
import { join } from 'node:path';
import { errorCode, errorMessage } from '../errors.js';
import { HAS_LOOP_DISKSEQ, KERNEL_VERSION } from '../linux/kernel-version.js';
import { isInMemory } from '../linux/memory-file.js';
import { mountOf, readMounts } from '../linux/mounts.js';
import { XEN_BACKEND_DEVICES } from '../vbd/vbd-directory.js';
import { openXenstore } from '../xenstore/open.js';
import { findProbingRules } from './probing-rules.js';
import { describeOldFile, readConfigFiles } from './read-config.js';
import type { DaemonSettings, Settings } from './settings.js';
import { readDaemonStatus } from './status.js';
import { readVersion } from './version.js';

/** The outcome of a check. `warning` means that everything works but something could be better. */
export type Health = 'ok' | 'warning' | 'failed';

/** The result of one check. */
export interface Check {
  readonly name: string;
  readonly health: Health;
  /** What the check has found and, unless the health is `ok`, what to do. */
  readonly finding: string;
}

type Judgement = Omit<Check, 'name'>;
const ok = (finding: string): Judgement => ({ health: 'ok', finding });
const warning = (finding: string): Judgement => ({ health: 'warning', finding });
const failed = (finding: string): Judgement => ({ health: 'failed', finding });

/** The time after which libxl kills a hotplug script; seconds. */
const LIBXL_TIMEOUT_S = 40;

/** The settings and directories that the checks look at. */
export interface Place {
  readonly settings: Settings;
  readonly daemon: DaemonSettings;
  /** The directory of Xen's hotplug scripts. */
  readonly scripts: string;
  /** The directories of udev's rules. A file hides files of the same name in later directories. */
  readonly rules: readonly string[];
  readonly signal: AbortSignal;
}

export const CHECKS: Readonly<Record<string, (place: Place) => Judgement | Promise<Judgement>>> = {
  root: () =>
    process.geteuid?.() === 0 ? ok('this is root') : failed('this is not root: run it with sudo'),
  kernel: () => {
    const [major = 0, minor = 0] = KERNEL_VERSION.split('.').map(Number);
    if (major < 5 || (major === 5 && minor < 15)) {
      return failed(`Linux ${KERNEL_VERSION}: 5.15 or later is needed, for disk sequence numbers`);
    }
    return HAS_LOOP_DISKSEQ
      ? ok(`Linux ${KERNEL_VERSION}`)
      : warning(
          `Linux ${KERNEL_VERSION}: its sequence numbers do not tell a loop device from its predecessor, so files are compared instead; 6.1.39 or 6.5 does`,
        );
  },
  xen: () =>
    ['/dev/xen/xenbus', '/proc/xen/xenbus', '/proc/xen/capabilities'].some(isInMemory)
      ? ok('this is a domain of Xen')
      : failed('neither /dev/xen nor /proc/xen is there: boot with Xen, mount xenfs at /proc/xen'),
  blkback: ({ settings: { sysfs } }) => {
    if (isInMemory(`${sysfs}/module/xen_blkback`)) return ok('xen-blkback is loaded');
    return isInMemory(join(sysfs, XEN_BACKEND_DEVICES))
      ? ok('the xen-backend bus is there')
      : failed('the driver is not loaded: modprobe xen-blkback');
  },
  loop: () =>
    isInMemory('/dev/loop-control')
      ? ok('/dev/loop-control is there')
      : failed('/dev/loop-control is missing, which files need: modprobe loop'),
  'device-mapper': () =>
    isInMemory('/sys/class/misc/device-mapper')
      ? ok('device-mapper is loaded')
      : warning('device-mapper is not loaded, which layers need: modprobe dm-mod'),
  xenstored: async ({ settings, signal }) => {
    const requestTimeoutMs = Math.min(settings.timeoutMs, 5000);
    try {
      await using store = await openXenstore({ signal, requestTimeoutMs });
      await store.readMany(['domid']);
      return ok('xenstored answers');
    } catch (error) {
      return failed(errorMessage(error));
    }
  },
  configuration: () => {
    const files = readConfigFiles(process.env);
    const [error] = files.errors;
    if (error !== undefined) return failed(error.message);
    const old = describeOldFile(files);
    if (old !== undefined) return warning(old);
    return isInMemory(files.file)
      ? ok(`${files.file}: no mistake`)
      : ok(`there is no ${files.file}: what is built in counts`);
  },
  timeout: ({ settings: { timeoutMs } }) => {
    const seconds = timeoutMs / 1000;
    return seconds < LIBXL_TIMEOUT_S
      ? ok(`${seconds} s; libxl waits ${LIBXL_TIMEOUT_S} s`)
      : warning(
          `timeout is ${seconds} s, and libxl kills a script after ${LIBXL_TIMEOUT_S} s without a word: set it below that`,
        );
  },
  script: ({ daemon, scripts }) => {
    const problems = daemon.scripts.flatMap((name) => {
      const path = join(scripts, name);
      try {
        accessSync(path, constants.X_OK);
        return [];
      } catch (error) {
        return [`${path} ${errorCode(error) === 'ENOENT' ? 'is missing' : 'cannot be run'}`];
      }
    });
    return problems.length === 0
      ? ok(`${daemon.scripts.join(', ')} in ${scripts}`)
      : failed(
          `${problems.join(', ')}: npm run install:dom0, or mend scripts in the configuration`,
        );
  },
  'run-dir': async ({ settings: { runDirectory } }) => await checkRunDirectory(runDirectory),
  daemon: async ({ daemon: { socket } }) => {
    try {
      const { daemon, connected } = await readDaemonStatus(socket);
      const installed = readVersion();
      if (daemon !== installed) {
        return warning(
          `version ${daemon} runs, and ${installed} is installed: systemctl restart xen-blkback`,
        );
      }
      return connected
        ? ok(`version ${daemon} answers at ${socket}`)
        : failed(`it answers at ${socket}, and has no connection to xenstored`);
    } catch (error) {
      return warning(
        `${errorMessage(error)} Without it each attach starts a program of its own: systemctl enable --now xen-blkback.socket xen-blkback.service`,
      );
    }
  },
  udev: ({ rules }) => {
    const found = findProbingRules(rules);
    return found.length === 0
      ? ok('no rule assembles arrays or volume groups of guests')
      : warning(
          `${found.join(', ')} may assemble what guests have on their disks: mask them in /etc/udev/rules.d, or filter the disks`,
        );
  },
};

async function checkRunDirectory(directory: string): Promise<Judgement> {
  const found = statSync(directory, { throwIfNoEntry: false });
  if (found === undefined) return ok(`${directory} is made with the first attach`);
  if (!found.isDirectory()) return failed(`${directory} is no directory: remove it`);
  if (found.uid !== 0 || (found.mode & 0o022) !== 0) {
    return failed(
      `others than root may write in ${directory}: chown root ${directory}; chmod 700 ${directory}`,
    );
  }
  const mount = mountOf(directory, await readMounts());
  return mount === undefined || ['tmpfs', 'ramfs', 'rootfs'].includes(mount.type)
    ? ok(`${directory}, root's alone`)
    : warning(
        `${directory} is on ${mount.type}, and outlives a reboot, after which its device numbers mean nothing: let run-dir be below /run`,
      );
}
