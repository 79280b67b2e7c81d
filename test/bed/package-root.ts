import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Bed } from './bed.js';
import { type Daemon, startDaemonProgram } from './daemon.js';
import { within } from './deadline.js';
import { projectRoot } from './paths.js';
import { libxlEnvironment, type Run, startProgram } from './script.js';
import type { Vbd } from './toolstack.js';

// Makes a copy of this machine that a test can change at will. Changes go to memory, nobody else
// sees them, and the checkout is missing. Services must not be touched, so systemctl only records
// its arguments, and only does actions that concern files alone.
const PREPARE = `
set -e
mount -t tmpfs none /mnt
cd /mnt
mkdir upper work root
mount -t overlay none -o lowerdir=/,upperdir=upper,workdir=work root
for name in proc sys dev tmp; do mount --rbind /$name root/$name; done
mount -t tmpfs none root/run
mount -t tmpfs none "root$1"
mkdir -p root/run/systemd/system
rm -f root/usr/sbin/policy-rc.d
mv root/usr/bin/systemctl root/usr/bin/systemctl.real
cat >root/usr/bin/systemctl <<'END'
#!/bin/sh
echo "$*" >>/run/systemctl.log
case "$*" in
  --root=*) exec systemctl.real "$@" ;;
  *is-enabled*) echo enabled ;;
esac
END
chmod 755 root/usr/bin/systemctl
echo ready
exec sleep infinity
`;

/** A copy of this machine into which packages can be installed. */
export class PackageRoot implements AsyncDisposable {
  readonly #holder: ChildProcess;

  private constructor(holder: ChildProcess) {
    this.#holder = holder;
  }

  static async start(): Promise<PackageRoot> {
    const holder = spawn('unshare', ['--mount', 'sh', '-c', PREPARE, 'sh', projectRoot], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const { stdout } = holder;
    if (stdout === null) throw new Error('the holder of the namespace has no output');
    await within(
      10_000,
      () => 'a root for packages',
      () =>
        Promise.race([
          once(stdout, 'data'),
          once(holder, 'exit').then(() => Promise.reject(new Error('no root for packages'))),
        ]),
    );
    return new PackageRoot(holder);
  }

  /** Returns the command line that runs a program inside. */
  inside(...command: string[]): [string, string[]] {
    const mounts = `--mount=/proc/${this.#holder.pid}/ns/mnt`;
    return ['nsenter', [mounts, 'chroot', '/mnt/root', ...command]];
  }

  run(env: Readonly<Record<string, string | undefined>>, ...command: string[]): Promise<Run> {
    const [file, args] = this.inside(...command);
    return startProgram(file, args, env).ended;
  }

  /** Runs a shell script inside and returns its stdout. Throws an error if the script fails. */
  async shell(script: string, env: Readonly<Record<string, string>> = {}): Promise<string> {
    const { status, stdout, stderr } = await this.run(env, 'sh', '-ec', script);
    if (status !== 0) throw new Error(`${script}\nended with ${status}:\n${stdout}${stderr}`);
    return stdout;
  }

  /** Runs a hotplug script as libxl would. */
  script(env: Readonly<Record<string, string>>, vbd: Vbd, action: string): Promise<Run> {
    const whole = { ...env, ...libxlEnvironment(vbd.backendPath) };
    return this.run(whole, '/etc/xen/scripts/block-diskseq', action);
  }

  startDaemon(bed: Bed): Promise<Daemon> {
    return startDaemonProgram(bed, ...this.inside('/usr/bin/xen-blkback', 'daemon'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const gone = once(this.#holder, 'exit');
    this.#holder.kill('SIGKILL');
    await gone;
  }
}
