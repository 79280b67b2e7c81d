// The table of commands: what each accepts, and the module that runs it. Modules load when used.

import { onStore, onTarget, onVbd } from './command-runs.js';
import type { OptionName } from './options.js';
import type { ParsedWords } from './parse-words.js';

/** A command of `xen-blkback`. */
export interface Command {
  /** The argument in the help: in brackets if optional, with dots if there may be several. */
  readonly operand?: string;
  readonly summary: string;
  /** Further sentences for the help of the command and for the manual. */
  readonly details?: string;
  readonly options: readonly OptionName[];
  /** The meanings of options that mean something else here than for most commands. */
  readonly meanings?: Readonly<Partial<Record<OptionName, string>>>;
  /** Runs the command, and returns the exit status. */
  readonly run: (words: ParsedWords) => Promise<number>;
}

const STORE: readonly OptionName[] = ['json', 'timeout', 'sysfs'];
const VBD = '[VBD]';
const TARGET = 'TARGET';
const TARGET_OPTIONS: readonly OptionName[] = [...STORE, 'mode', 'frontend', 'sharing', 'same-vm'];

/** The meanings of the words for arguments. The manual has a text of its own. */
export const OPERANDS: Readonly<Record<string, string>> = {
  [VBD]:
    'VBD is a backend path (backend/vbd/7/51712), or its end: 7/51712, 7/xvda, or 7 where guest 7 has one disk. By default it is $XENBUS_PATH, as libxl sets it.',
  [TARGET]:
    'TARGET is what params would be: a path, or KEY=VALUE,… as xen-blkback-targets(7) has it.',
};

export const COMMANDS: Readonly<Record<string, Command>> = {
  add: {
    operand: VBD,
    summary: 'attach a vbd: open its device, hand it to blkback',
    options: [...STORE, 'dry-run', 'verbose', 'uapi', 'sharing', 'same-vm', 'udev-refresh'],
    run: onVbd(async () => (await import('./add.js')).add),
  },
  remove: {
    operand: VBD,
    summary: 'detach a vbd: wait for blkback to close it, clean up',
    options: [...STORE, 'dry-run', 'verbose', 'udev-refresh'],
    run: onVbd(async () => (await import('./remove.js')).remove),
  },
  list: {
    operand: '[DOMAIN]',
    summary: 'list the vbds of this domain, whoever attached them',
    details:
      'DOMAIN is the number or the name of a guest, which has to exist. In a terminal lines are cut to its width.',
    options: [...STORE, 'columns', 'no-header', 'errors', 'uses', 'all', 'backend-domain'],
    meanings: { all: 'of all backend domains, driver domains included' },
    run: onStore(async () => (await import('./list.js')).list),
  },
  show: {
    operand: VBD,
    summary: 'tell everything about a vbd',
    options: [...STORE, 'backend-domain'],
    run: onVbd(async () => (await import('./show.js')).show, { remote: true }),
  },
  wait: {
    operand: VBD,
    summary: 'wait until blkback has opened the device of a vbd, or has closed it',
    options: [...STORE, 'opened', 'closed', 'backend-domain', 'verbose'],
    run: onVbd(async () => (await import('./wait.js')).wait, { remote: true }),
  },
  resize: {
    operand: 'VBD [SIZE]',
    summary: 'make the disk of a vbd as large as its file or disk is by now, or its file too',
    details:
      'SIZE is what its file is to have, in bytes, or with K, M, G or T behind the number (powers of 1024). It is refused while others use the file. Without SIZE the disk follows what it stands on. The guest is told by its block driver.',
    options: [...STORE, 'shrink', 'same-vm'],
    run: onVbd(async () => (await import('./resize.js')).resize),
  },
  check: {
    operand: TARGET,
    summary: 'tell whether a target could be attached, and if not, who uses it',
    options: TARGET_OPTIONS,
    run: onTarget(async () => (await import('./check.js')).check),
  },
  inspect: {
    operand: TARGET,
    summary: 'tell what add would find: the devices below a target, who uses them, the verdict',
    options: TARGET_OPTIONS,
    run: onTarget(async () => (await import('./inspect.js')).inspect),
  },
  events: {
    summary: 'tell how each vbd is, and then each step as the daemon does it, until interrupted',
    details:
      'Of other backend domains it tells what they write to XenStore, for which no daemon is needed here.',
    options: ['json', 'verbose', 'socket', 'reconnect', 'all', 'backend-domain'],
    meanings: { all: 'of all backend domains, driver domains included' },
    run: async (words) => (await import('./events.js')).runEvents(words),
  },
  status: {
    summary: 'tell what the daemon is doing, and what it has done',
    options: ['json', 'socket'],
    run: async ({ options }) => (await import('./status.js')).runStatus(options),
  },
  metrics: {
    summary: 'print what the daemon has done as OpenMetrics text',
    options: ['socket', 'output'],
    meanings: {
      output: "put it into this file at once, as node-exporter's textfile collector reads it",
    },
    run: async ({ options }) => (await import('./status.js')).runMetrics(options),
  },
  audit: {
    summary: 'find loop devices, records, nodes and vbds that do not fit together',
    details:
      'It tells what each means, and the command that ends it. The exit status is 1 if there is any.',
    options: STORE,
    run: onStore(async () => (await import('./audit.js')).audit),
  },
  gc: {
    summary: 'end what audit finds and nobody has open',
    options: [...STORE, 'udev-refresh', 'loops', 'yes'],
    run: onStore(async () => (await import('./audit.js')).collectGarbage),
  },
  doctor: {
    summary: 'tell for each thing that an attach needs whether it is well, or what to do',
    options: ['json'],
    run: async ({ options }) => (await import('./doctor.js')).runDoctor(options),
  },
  divert: {
    operand: '[SCRIPT…]',
    summary:
      'put our hotplug script in the place of others, or list those that it is in the place of',
    details:
      'SCRIPT is a name in /etc/xen/scripts, such as block or qubes-block. It is for toolstacks that can name no other script. What was there stays beside it as SCRIPT.distrib.',
    options: ['undo'],
    run: async ({ options, operands }) =>
      (await import('./divert.js')).runDivert(operands, options.undo === 'yes'),
  },
  config: {
    summary: 'print the settings in force, and where each comes from',
    details: 'With --check the exit status is 0 if all of them make sense, and 2 if not.',
    options: ['json', 'check'],
    run: async ({ options }) => (await import('./config.js')).runConfig(options),
  },
  daemon: {
    summary: 'serve hotplug scripts from one process',
    details:
      'The run directory and the socket, on which the daemon and the hotplug script have to agree, are set in the configuration file, or in the environment of both.',
    options: [
      ...(['timeout', 'uapi', 'sharing', 'same-vm', 'udev-refresh', 'sysfs', 'log'] as const),
      ...(['scripts', 'all', 'output', 'verbose'] as const),
    ],
    run: async ({ options }) => (await import('./daemon.js')).startDaemon(options),
  },
};
