import { SHARINGS, type Sharing } from '../sharing/matrix.js';
import { SAME_VM_RULES, type SameVmRule } from '../sharing/same-vm.js';
import type { Uapi } from '../vbd/publish.js';
import { DEFAULT_RUN_DIRECTORY } from '../vbd/record.js';
import { UsageError } from './usage-error.js';

/** What can be set on the command line, then in the environment, then is as built in. */
export interface Settings {
  readonly timeoutMs: number;
  readonly uapi: Uapi;
  readonly sharing: Sharing;
  readonly sameVm: SameVmRule;
  readonly udevRefresh: boolean;
  readonly sysfs: string;
  readonly runDirectory: string;
  readonly log: string;
}

/** libxl kills a hotplug script after 40 s (LIBXL_HOTPLUG_TIMEOUT) and tells nobody why. */
export const DEFAULT_TIMEOUT_S = 30;

/**
 * One row a setting: how it is called, what it means, and how its text is read. The command line
 * parser is built from this table; the hotplug path reads the environment by it, without a parser.
 */
export const SETTINGS = {
  timeout: {
    env: 'XEN_BLKBACK_TIMEOUT',
    fallback: String(DEFAULT_TIMEOUT_S),
    describe: 'seconds that all of it may take, roll-back included',
  },
  uapi: {
    env: 'XEN_BLKBACK_UAPI',
    fallback: 'key',
    describe: 'where blkback looks for the diskseq: key, or inline (only kernels that need it)',
  },
  sharing: {
    env: 'XEN_BLKBACK_SHARING',
    fallback: 'deny',
    describe: 'what a target tolerates that does not say: deny, read-only or allow',
  },
  'same-vm': {
    env: 'XEN_BLKBACK_SAME_VM',
    fallback: 'check',
    describe:
      'what a domain is taken for whose virtual machine may not be read here: check (another one) or assume (the same one)',
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
    describe: 'where what must outlive the nodes is kept',
  },
  log: {
    env: 'XEN_BLKBACK_LOG',
    fallback: '/var/log/xen/xen-hotplug.log',
    describe: 'file that failures are added to, if its directory exists',
  },
} as const;

export type SettingName = keyof typeof SETTINGS;

/** Reads the settings' texts. Throws `UsageError` naming the setting and its value. */
export function parseSettings(texts: Readonly<Record<SettingName, string>>): Settings {
  return {
    timeoutMs: parseTimeout(texts.timeout),
    uapi: parseUapi(texts.uapi),
    sharing: parseSharing(texts.sharing),
    sameVm: parseSameVm(texts['same-vm']),
    udevRefresh: parseYesNo('udev-refresh', texts['udev-refresh']),
    sysfs: parseDirectory('sysfs', texts.sysfs),
    runDirectory: parseDirectory('run-dir', texts['run-dir']),
    log: parseDirectory('log', texts.log),
  };
}

/**
 * The settings where there is no command line: environment, then built-in defaults. A variable that
 * is set to nothing counts as not set, as it does for the shell scripts of Xen.
 */
export function settingsFromEnvironment(environment: NodeJS.ProcessEnv): Settings {
  const text = (name: SettingName): string =>
    environment[SETTINGS[name].env] || SETTINGS[name].fallback;
  return parseSettings({
    timeout: text('timeout'),
    uapi: text('uapi'),
    sharing: text('sharing'),
    'same-vm': text('same-vm'),
    'udev-refresh': text('udev-refresh'),
    sysfs: text('sysfs'),
    'run-dir': text('run-dir'),
    log: text('log'),
  });
}

function parseTimeout(text: string): number {
  const seconds = /^\d{1,5}(\.\d{1,3})?$/.test(text) ? Number(text) : 0;
  if (seconds >= 0.1 && seconds <= 86_400) return Math.round(seconds * 1000);
  throw new UsageError(`timeout ${JSON.stringify(text)}: seconds from 0.1 to 86400 are needed`);
}

function parseUapi(text: string): Uapi {
  if (text === 'key' || text === 'inline') return text;
  throw new UsageError(`uapi ${JSON.stringify(text)}: key or inline is needed`);
}

function parseSharing(text: string): Sharing {
  const sharing = SHARINGS.find((word) => word === text);
  if (sharing !== undefined) return sharing;
  throw new UsageError(`sharing ${JSON.stringify(text)}: one of ${SHARINGS.join(', ')} is needed`);
}

function parseSameVm(text: string): SameVmRule {
  const rule = SAME_VM_RULES.find((word) => word === text);
  if (rule !== undefined) return rule;
  throw new UsageError(`same-vm ${JSON.stringify(text)}: ${SAME_VM_RULES.join(' or ')} is needed`);
}

function parseYesNo(name: SettingName, text: string): boolean {
  if (text === 'yes' || text === 'no') return text === 'yes';
  throw new UsageError(`${name} ${JSON.stringify(text)}: yes or no is needed`);
}

function parseDirectory(name: SettingName, text: string): string {
  if (text.startsWith('/') && !text.includes('\0')) return text;
  throw new UsageError(`${name} ${JSON.stringify(text)}: an absolute path is needed`);
}
