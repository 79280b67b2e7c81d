import yargs, { type Argv } from 'yargs';
import { errorMessage } from '../errors.js';
import type { CheckArguments } from './check.js';
import { complain } from './output.js';
import {
  type Context,
  type Invocation,
  type Outcome,
  run,
  runOnStore,
  type StoreContext,
} from './run.js';
import { listScriptNames } from './script-names.js';
import { parseSettings, SETTINGS, type SettingName } from './settings.js';
import { UsageError } from './usage-error.js';
import { readVersion } from './version.js';

const ENVIRONMENT = `Environment:
  XENBUS_PATH          backend path, as libxl sets it, where none is given
  XEN_BLKBACK_TIMEOUT, XEN_BLKBACK_UAPI, XEN_BLKBACK_SHARING,
  XEN_BLKBACK_SAME_VM, XEN_BLKBACK_UDEV_REFRESH,
  XEN_BLKBACK_SYSFS, XEN_BLKBACK_RUN_DIR, XEN_BLKBACK_LOG
                       the options of the same name`;

/** Parses a command line and runs its command; returns the exit status. */
export async function runCommandLine(words: readonly string[]): Promise<number> {
  let status = 0;
  const command =
    (load: () => Promise<(context: Context) => Promise<Outcome>>) =>
    async (values: Record<string, unknown>): Promise<void> => {
      status = await run(toInvocation(values), await load());
    };
  const onTarget =
    (load: () => Promise<(context: StoreContext, given: CheckArguments) => Promise<Outcome>>) =>
    async (values: Record<string, unknown>): Promise<void> => {
      const action = await load();
      const { target, mode, frontend } = values;
      const given = {
        target: String(target),
        mode: String(mode),
        frontend: typeof frontend === 'string' ? frontend : undefined,
      };
      status = await runOnStore(toInvocation(values), (context) => action(context, given));
    };
  const parser = withOptions(yargs([...words]))
    .scriptName('xen-blkback')
    .usage(
      'Usage: $0 <command> [BACKEND-PATH] [options]\n\nHands block devices to Xen guests: the userspace half of xen-blkback.',
    )
    .command(
      'add [backend-path]',
      'attach a vbd: open its device, hand it to blkback',
      withVbd,
      command(async () => (await import('./add.js')).add),
    )
    .command(
      'remove [backend-path]',
      'detach a vbd: wait for blkback to close it, clean up',
      withVbd,
      command(async () => (await import('./remove.js')).remove),
    )
    .command('list', 'list the vbds of this domain, whoever attached them', {}, async (values) => {
      const { list } = await import('./list.js');
      status = await runOnStore(toInvocation(values), list);
    })
    .command(
      'show [backend-path]',
      'tell everything about a vbd',
      withVbd,
      command(async () => (await import('./show.js')).show),
    )
    .command(
      'wait [backend-path]',
      'wait until blkback has opened the device of a vbd',
      (argv) =>
        withVbd(argv).option('opened', {
          type: 'boolean',
          demandOption: true,
          describe: 'until blkback has the device open',
        }),
      command(async () => (await import('./wait.js')).waitOpened),
    )
    .command(
      'resize [backend-path]',
      'make the disk of a vbd as large as its file or disk is by now',
      withVbd,
      command(async () => (await import('./resize.js')).resize),
    )
    .command(
      'check <target>',
      'tell whether a target could be attached, and if not, who uses it',
      withTarget,
      onTarget(async () => (await import('./check.js')).check),
    )
    .command(
      'inspect <target>',
      'tell what add would find: the devices below a target, who uses them, the verdict',
      withTarget,
      onTarget(async () => (await import('./inspect.js')).inspect),
    )
    .command(
      'events',
      'tell each step of each vbd as the daemon does it, until interrupted',
      withSocket,
      async (values) => {
        const { json, verbose } = toInvocation(values);
        const socket = String(values.socket);
        status = await (await import('./events.js')).runEvents({ socket, json, verbose });
      },
    )
    .command(
      'divert [script..]',
      'put our hotplug script in the place of others, or list those that it is in the place of',
      withScripts,
      async (values) => {
        const names = Array.isArray(values.script) ? values.script.map(String) : [];
        status = await (await import('./divert.js')).runDivert(names, values.undo === true);
      },
    )
    .command('daemon', 'serve hotplug scripts from one process', withDaemon, async (values) => {
      const { settings } = toInvocation(values);
      status = await (await import('./daemon.js')).runDaemon({
        settings: settings(),
        socket: String(values.socket),
        scripts: String(values.scripts).split(','),
        all: values.all === true,
        verbose: values.verbose === true,
        output: typeof values.output === 'string' && values.output ? values.output : undefined,
      });
    })
    .epilogue(ENVIRONMENT)
    .demandCommand(1, 'a command is needed')
    .strict()
    .version(readVersion())
    .locale('en')
    .help('help')
    .alias('help', 'h')
    .wrap(Math.min(96, process.stdout.columns ?? 96))
    .exitProcess(false)
    .fail((message: string | null, error: Error | undefined) => {
      throw error ?? new UsageError(message ?? 'bad command line');
    });
  try {
    await parser.parseAsync();
  } catch (error) {
    complain(`xen-blkback: ${errorMessage(error)}; try xen-blkback --help\n`);
    return 1;
  }
  return status;
}

function withVbd(argv: Argv): Argv {
  return argv.positional('backend-path', {
    type: 'string',
    describe: 'backend/vbd/<domid>/<devid>, or <domid>/<devid>; by default $XENBUS_PATH',
  });
}

function withTarget(argv: Argv): Argv {
  return argv
    .positional('target', { type: 'string', describe: 'what params would be, see docs/targets.md' })
    .option('mode', { choices: ['r', 'w'], default: 'w', describe: 'what the guest may do' })
    .option('frontend', {
      type: 'string',
      requiresArg: true,
      describe: 'domain that is to have it; by default any other than those that have it',
    });
}

function withScripts(argv: Argv): Argv {
  return argv
    .positional('script', {
      type: 'string',
      array: true,
      describe: 'names in /etc/xen/scripts, such as block or qubes-block',
    })
    .option('undo', { type: 'boolean', describe: 'bring the scripts of these names back' });
}

function withSocket(argv: Argv): Argv {
  return argv.option('socket', {
    type: 'string',
    requiresArg: true,
    default: process.env.XEN_BLKBACK_SOCKET || '/run/xen-blkback/control.sock',
    describe: 'control socket of the daemon, where hotplug scripts ask',
  });
}

function withDaemon(argv: Argv): Argv {
  return withSocket(argv)
    .option('scripts', {
      type: 'string',
      requiresArg: true,
      default: process.env.XEN_BLKBACK_SCRIPTS || listScriptNames().join(','),
      describe: 'names of hotplug scripts whose vbds are prepared unasked, with commas between',
    })
    .option('output', {
      type: 'string',
      requiresArg: true,
      default: process.env.XEN_BLKBACK_OUTPUT,
      describe: 'file for what it says, instead of stderr; SIGHUP opens it again',
    })
    .option('all', { type: 'boolean', describe: 'prepare every vbd, whatever its script' });
}

function withOptions(argv: Argv): Argv {
  let parser = argv
    .option('json', { type: 'boolean', describe: 'print the result as one JSON object' })
    .option('dry-run', { type: 'boolean', describe: 'print what would be done; touch nothing' })
    .option('verbose', { type: 'boolean', alias: 'v', describe: 'print each step with its time' });
  for (const [name, setting] of Object.entries(SETTINGS)) {
    parser = parser.option(name, {
      type: 'string',
      requiresArg: true,
      // Not yargs' own .env(): in strict mode it trips over every other XEN_BLKBACK_… variable.
      default: process.env[setting.env] || setting.fallback,
      describe: setting.describe,
    });
  }
  return parser;
}

function toInvocation(values: Record<string, unknown>): Invocation {
  const text = (name: SettingName): string => {
    const value = values[name];
    // yargs makes a list of an option that was given twice: the last one counts, as is usual.
    return String(Array.isArray(value) ? value.at(-1) : value);
  };
  const path = values['backend-path'];
  return {
    vbd: typeof path === 'string' ? path : undefined,
    json: values.json === true,
    dryRun: values['dry-run'] === true,
    verbose: values.verbose === true,
    settings: () =>
      parseSettings({
        timeout: text('timeout'),
        uapi: text('uapi'),
        sharing: text('sharing'),
        'same-vm': text('same-vm'),
        'udev-refresh': text('udev-refresh'),
        sysfs: text('sysfs'),
        'run-dir': text('run-dir'),
        log: text('log'),
      }),
  };
}
