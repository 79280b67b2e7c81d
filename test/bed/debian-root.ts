import { execFile } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Run, startProgram } from './script.js';

const MIRROR = 'http://deb.debian.org/debian';
/** A slow mirror and a busy machine. */
const TIMEOUT_MS = 600_000;

/** A fresh Debian of its own below a directory, without Xen. */
export class DebianRoot implements Disposable {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /** Makes one from Debian's mirror. Throws what mmdebstrap says where there is no mirror. */
  static async make(suite: string): Promise<DebianRoot> {
    const root = new DebianRoot(mkdtempSync(join(tmpdir(), 'xen-debian-')));
    const args = ['--variant=minbase', '--quiet', '--include=man-db,bash-completion', suite];
    try {
      await promisify(execFile)('mmdebstrap', [...args, root.at('/root-fs'), MIRROR], {
        timeout: TIMEOUT_MS,
      });
    } catch (error) {
      root[Symbol.dispose]();
      throw error;
    }
    copyFileSync('/etc/resolv.conf', root.at('/root-fs/etc/resolv.conf'));
    mkdirSync(root.at('/root-fs/packages'));
    return root;
  }

  at(path: string): string {
    return join(this.path, path);
  }

  /** Copies a package into it; returns its path inside. */
  take(file: string, name: string): string {
    copyFileSync(file, this.at(`/root-fs/packages/${name}`));
    return `/packages/${name}`;
  }

  /** Runs a shell script in it that must succeed; returns what it has printed. */
  async shell(script: string): Promise<string> {
    const { status, stdout, stderr } = await this.run(script);
    if (status !== 0) throw new Error(`${script}\nended with ${status}:\n${stdout}${stderr}`);
    return stdout;
  }

  /** Runs a shell script in it. The kernel's file systems are there while it runs. */
  run(script: string): Promise<Run> {
    writeFileSync(
      this.at('/root-fs/packages/script'),
      `mount -t proc proc /proc\nmount -t sysfs sysfs /sys\n${script}\n`,
    );
    const env = { DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C.UTF-8', MANWIDTH: '80' };
    const args = [
      '--mount',
      '--pid',
      '--fork',
      'chroot',
      this.at('/root-fs'),
      'bash',
      '-e',
      '/packages/script',
    ];
    return startProgram('unshare', args, env, TIMEOUT_MS).ended;
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}
