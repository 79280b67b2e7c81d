import { execFileSync } from 'node:child_process';
import { copyFileSync, cpSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Child, startChild, stopChild } from './child.js';
import { within } from './deadline.js';
import type { Destdir } from './installed.js';
import { LINUX } from './needs.js';
import { projectRoot } from './paths.js';
import { type Run, startProgram } from './script.js';

const OF_SYSTEM = '/usr/lib/systemd/system';
const JOURNAL = [
  'systemd-journald.service',
  'systemd-journald.socket',
  'systemd-journald-dev-log.socket',
];
/** Empty targets, by which other units are ordered. */
const TARGETS = ['sysinit', 'basic', 'sockets', 'local-fs', 'multi-user', 'shutdown'];
const START_MS = 60_000;

// $1 is the destdir, $2 the directory of units, $3 the checkout. Everything that systemd might
// clean is private.
const INIT = `
set -e
mount -t proc proc /proc
mount -t overlay none -o "lowerdir=$1/usr:/usr" /usr
mount -t overlay none -o "lowerdir=$1/etc:/etc" /etc
mount -t tmpfs none /run
mkdir /run/units
cp -a "$2/." /run/units
mount -t cgroup2 none /sys/fs/cgroup
[ ! -e "$3/package.json" ] || mount -t tmpfs none "$3"
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin SYSTEMD_UNIT_PATH=/run/units \\
  SYSTEMD_GENERATOR_PATH=/run/no-generators SYSTEMD_ENVIRONMENT_GENERATOR_PATH=/run/no-generators \\
  /lib/systemd/systemd --system --unit=bed.target --show-status=0 --log-target=console --log-level=notice
`;

/**
 * A real systemd in namespaces of its own, with the journal, the units installed below a destdir,
 * and no other unit. It is only for User-Mode Linux, because systemd takes over the machine on
 * which it is started.
 */
export class Systemd implements AsyncDisposable {
  readonly #child: Child;
  readonly #pid: number;

  private constructor(child: Child, pid: number) {
    this.#child = child;
    this.#pid = pid;
  }

  /** Starts systemd. `dropIns` maps paths below the directory of units to texts. */
  static async start(
    destdir: Destdir,
    dropIns: Readonly<Record<string, string>>,
  ): Promise<Systemd> {
    if (!isUserModeLinux()) throw new Error('systemd is started in User-Mode Linux only');
    const units = destdir.at('/bed-units');
    cpSync(destdir.at(OF_SYSTEM), units, { recursive: true });
    for (const name of JOURNAL) copyFileSync(join(OF_SYSTEM, name), join(units, name));
    for (const name of TARGETS) writeFileSync(join(units, `${name}.target`), '[Unit]\n');
    const wanted = `Requires=xen-blkback.socket\nWants=${JOURNAL.join(' ')}`;
    writeFileSync(join(units, 'bed.target'), `[Unit]\n${wanted}\n`);
    for (const [name, text] of Object.entries(dropIns)) {
      mkdirSync(dirname(join(units, name)), { recursive: true });
      writeFileSync(join(units, name), text);
    }
    const namespaces = ['--pid', '--fork', '--kill-child', '--mount', '--cgroup', '--ipc', '--uts'];
    const args = [...namespaces, '/bin/sh', '-c', INIT, 'sh', destdir.path, units, projectRoot];
    const child = await startChild('unshare', args, { stdio: ['ignore', 'inherit', 'inherit'] });
    const pid = Number(
      execFileSync('pgrep', ['--parent', String(child.pid)], { encoding: 'utf8' }),
    );
    const systemd = new Systemd(child, pid);
    await within(START_MS, 'systemd to be up', async (signal) => {
      while ((await systemd.run('systemctl', 'is-active', 'bed.target')).status !== 0) {
        signal.throwIfAborted();
        if (child.end() !== undefined) throw new Error(`systemd ${child.end()}`);
      }
    });
    return systemd;
  }

  /** Runs a program in the namespaces of systemd. */
  run(file: string, ...args: string[]): Promise<Run> {
    return this.runWith({}, file, ...args);
  }

  runWith(
    env: Readonly<Record<string, string | undefined>>,
    file: string,
    ...args: string[]
  ): Promise<Run> {
    const into = ['--target', String(this.#pid), '--all'];
    return startProgram('/usr/bin/nsenter', [...into, file, ...args], env).ended;
  }

  /** Returns a property of a unit. */
  async property(unit: string, name: string): Promise<string> {
    const { stdout } = await this.run('systemctl', 'show', '--value', '-p', name, unit);
    return stdout.trim();
  }

  /** Resolves when a property has a value that fits. */
  async reaches(unit: string, name: string, pattern: RegExp): Promise<string> {
    let value = '';
    return await within(
      START_MS,
      () => `${name} of ${unit} to be ${pattern}, but it is ${JSON.stringify(value)}`,
      async (signal) => {
        for (;;) {
          value = await this.property(unit, name);
          if (pattern.test(value)) return value;
          signal.throwIfAborted();
        }
      },
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // SIGTERM would not end systemd, because it means something else to systemd.
    this.#child.process.kill('SIGKILL');
    await stopChild(this.#child);
  }
}

/** Tells whether this kernel is User-Mode Linux, so that the machine ends with the test. */
function isUserModeLinux(): boolean {
  return existsSync(LINUX) && existsSync('/proc/exitcode') && existsSync('/run/uml');
}
