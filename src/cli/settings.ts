import { DAEMON_SOCKET } from '../daemon/daemon-socket.js';
import type { SameVmRule } from '../sharing/same-vm.js';
import type { Sharing } from '../sharing/sharing-rules.js';
import type { Uapi } from '../vbd/publish-device.js';
import { DEFAULT_RUN_DIRECTORY } from '../vbd/record.js';
import { READ_SETTING } from './read-setting.js';

/** The settings of one attach or detach. `setting-sources.ts` describes their sources. */
export interface Settings {
  readonly timeoutMs: number;
  readonly uapi: Uapi;
  readonly sharing: Sharing;
  readonly sameVm: SameVmRule;
  readonly udevRefresh: boolean;
  readonly sysfs: string;
  readonly runDirectory: string;
  readonly log: string;
  readonly verbose: boolean;
}

/** In seconds. libxl kills a script after 40 s (LIBXL_HOTPLUG_TIMEOUT) and tells nobody why. */
export const DEFAULT_TIMEOUT_S = 30;

/**
 * One row per setting: its environment variable, its built-in value, and its meaning. The name of
 * the row is the key in the configuration file and the option on the command line.
 */
export const SETTINGS = {
  timeout: {
    env: 'XEN_BLKBACK_TIMEOUT',
    fallback: String(DEFAULT_TIMEOUT_S),
    describe: 'seconds that an attach or detach may take, with its roll-back',
  },
  uapi: {
    env: 'XEN_BLKBACK_UAPI',
    fallback: 'key',
    describe: 'where blkback looks for the diskseq: key, or inline (only kernels that need it)',
  },
  sharing: {
    env: 'XEN_BLKBACK_SHARING',
    fallback: 'deny',
    describe:
      'what others may do with the same bytes where the target does not say: deny, read-only or allow',
  },
  'same-vm': {
    env: 'XEN_BLKBACK_SAME_VM',
    fallback: 'check',
    describe:
      'how a domain counts whose virtual machine cannot be read: check (as another one) or assume (as the same one)',
  },
  'udev-refresh': {
    env: 'XEN_BLKBACK_UDEV_REFRESH',
    fallback: 'no',
    describe: 'yes sends a change uevent for the device once blkback has closed it',
  },
  sysfs: {
    env: 'XEN_BLKBACK_SYSFS',
    fallback: '/sys',
    describe: 'root below which the xen-backend bus is found',
  },
  'run-dir': {
    env: 'XEN_BLKBACK_RUN_DIR',
    fallback: DEFAULT_RUN_DIRECTORY,
    describe: 'directory of the lock and of what must outlive the nodes',
  },
  log: {
    env: 'XEN_BLKBACK_LOG',
    fallback: '/var/log/xen/xen-hotplug.log',
    describe: 'file that failures are added to, if its directory exists',
  },
  verbose: {
    env: 'XEN_BLKBACK_VERBOSE',
    fallback: 'no',
    describe: 'yes has daemon and hotplug script log each step',
  },
} as const;

/** The further settings of the daemon and of the programs that ask it. */
export const DAEMON_SETTINGS = {
  socket: {
    env: 'XEN_BLKBACK_SOCKET',
    fallback: DAEMON_SOCKET,
    describe: 'control socket of the daemon, where hotplug scripts ask',
  },
  scripts: {
    env: 'XEN_BLKBACK_SCRIPTS',
    fallback: 'block-diskseq',
    describe:
      'names of hotplug scripts, with commas between: their vbds are attached before the toolstack asks',
  },
  all: {
    env: 'XEN_BLKBACK_ALL',
    fallback: 'no',
    describe: 'yes prepares every vbd, whatever its script',
  },
  output: {
    env: 'XEN_BLKBACK_OUTPUT',
    fallback: 'stderr',
    describe: 'file for what the daemon says, or stderr; SIGHUP opens it again',
  },
} as const;

/** The parsed values of `DAEMON_SETTINGS`. */
export interface DaemonSettings {
  readonly socket: string;
  readonly scripts: readonly string[];
  readonly all: boolean;
  /** The file for the messages of the daemon. `undefined` stands for stderr. */
  readonly output: string | undefined;
}

export type SettingName = keyof typeof SETTINGS;

export type DaemonSettingName = keyof typeof DAEMON_SETTINGS;

/** Parses the texts of the settings. Throws a `UsageError` that names the setting and its value. */
export function parseSettings(texts: Readonly<Record<SettingName, string>>): Settings {
  return {
    timeoutMs: READ_SETTING.timeout(texts.timeout),
    uapi: READ_SETTING.uapi(texts.uapi),
    sharing: READ_SETTING.sharing(texts.sharing),
    sameVm: READ_SETTING['same-vm'](texts['same-vm']),
    udevRefresh: READ_SETTING['udev-refresh'](texts['udev-refresh']),
    sysfs: READ_SETTING.sysfs(texts.sysfs),
    runDirectory: READ_SETTING['run-dir'](texts['run-dir']),
    log: READ_SETTING.log(texts.log),
    verbose: READ_SETTING.verbose(texts.verbose),
  };
}

/** Parses the texts of the daemon's settings. Throws the same error. */
export function parseDaemonSettings(
  texts: Readonly<Record<DaemonSettingName, string>>,
): DaemonSettings {
  return {
    socket: READ_SETTING.socket(texts.socket),
    scripts: READ_SETTING.scripts(texts.scripts),
    all: READ_SETTING.all(texts.all),
    output: READ_SETTING.output(texts.output),
  };
}
