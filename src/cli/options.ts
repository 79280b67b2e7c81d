import { DAEMON_SETTINGS, SETTINGS } from './settings.js';

/** An option of one or more commands. */
export interface Option {
  readonly describe: string;
  /**
   * The placeholder for the value in the help, or a list of all possible values. An option without
   * this property is a switch.
   */
  readonly value?: string;
  readonly letter?: string;
  readonly choices?: readonly string[];
  /** The default value, for the help. */
  readonly fallback?: string;
  /** The environment variable with the same meaning. */
  readonly env?: string;
}

const { timeout, uapi, sharing, sysfs, log } = SETTINGS;

export const OPTIONS = {
  json: { describe: 'print the result as one JSON object' },
  verbose: { letter: 'v', describe: 'print each step with its time' },
  'dry-run': { describe: 'print what would be done; touch nothing' },
  timeout: { value: 'SECONDS', ...timeout },
  uapi: { value: 'key|inline', ...uapi },
  sharing: { value: 'deny|read-only|allow', ...sharing },
  'same-vm': { value: 'check|assume', ...SETTINGS['same-vm'] },
  'udev-refresh': { value: 'yes|no', ...SETTINGS['udev-refresh'] },
  sysfs: { value: 'DIR', ...sysfs },
  log: { value: 'FILE', ...log },
  mode: {
    value: 'r|w',
    choices: ['r', 'w'],
    fallback: 'w',
    describe: 'what the guest may do: read, or write too',
  },
  frontend: {
    value: 'DOMID',
    describe: 'domain that is to have it; by default any other than those that have it',
  },
  opened: { describe: 'until blkback has the device open, which is the default' },
  closed: { describe: 'until blkback has closed the device, or has none' },
  socket: { value: 'PATH', ...DAEMON_SETTINGS.socket },
  reconnect: { describe: 'go on when the daemon has ended and is back; nothing is missed' },
  scripts: { value: 'NAMES', ...DAEMON_SETTINGS.scripts },
  all: { describe: 'prepare every vbd, whatever its script', env: DAEMON_SETTINGS.all.env },
  output: { value: 'FILE', ...DAEMON_SETTINGS.output },
  columns: {
    letter: 'o',
    value: 'COLUMNS',
    describe:
      'columns with commas between: vbd, domain, vdev, mode, state, opened, device, diskseq, target, backend, backend-domain, hotplug-status, devnum, size, block-size, online, error',
  },
  'backend-domain': {
    value: 'DOMID',
    describe: 'of this backend domain, such as a driver domain, as XenStore shows it from here',
  },
  'no-header': { letter: 'n', describe: 'no line with the names of the columns' },
  errors: { describe: 'only vbds with an error' },
  uses: { value: 'PATH', describe: 'only vbds with bytes of this file or device' },
  shrink: { describe: 'the size may be smaller: what lies behind it in the file is lost' },
  undo: { describe: 'bring the scripts of these names back' },
  loops: {
    describe: 'also end loop devices that nobody is seen to use; they may be an administrator’s',
  },
  yes: { describe: 'do it; without this nothing is changed' },
  check: { describe: 'say nothing but what is wrong; the exit status tells' },
} as const satisfies Record<string, Option>;

export type OptionName = keyof typeof OPTIONS;

/** Returns the option of this name. */
export function optionOf(name: OptionName): Option {
  return OPTIONS[name];
}
