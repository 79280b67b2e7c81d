import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pause } from '../../src/util/retry.js';
import { type Child, startChild } from './child.js';
import { within } from './deadline.js';
import { built } from './paths.js';

/** A file system in memory whose server a test can stop, as an outage stops a file server. */
export class FuseFiles implements AsyncDisposable {
  readonly directory: string;
  readonly #child: Child;

  private constructor(directory: string, child: Child) {
    this.directory = directory;
    this.#child = child;
  }

  /** Mounts a file system with regular files of these names and sizes in bytes, all zeroes. */
  static async mount(files: Readonly<Record<string, number>>): Promise<FuseFiles> {
    const directory = mkdtempSync(join(tmpdir(), 'fuse-files-'));
    const list = Object.entries(files).map(([name, size]) => `${name}=${size}`);
    const child = await startChild(built('fuse-files'), [directory, ...list], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await within(5000, 'mount of fuse-files', () =>
      Promise.race([
        new Promise<void>((resolve) => child.process.stdout?.once('data', () => resolve())),
        child.ended.then((how) => Promise.reject(new Error(`fuse-files ${how}`))),
      ]),
    );
    return new FuseFiles(directory, child);
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  /** Stops the server. From then on, no call to the file system returns. */
  async stop(): Promise<void> {
    this.#child.process.kill('SIGSTOP');
    await within(5000, 'stop of fuse-files', async () => {
      while (!isStopped(this.#child.pid)) await pause(1);
    });
  }

  /** Resumes the server. It answers the waiting calls first. */
  resume(): void {
    this.#child.process.kill('SIGCONT');
  }

  /** Ends the server, which makes all waiting calls fail. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.process.ref();
    // This process unmounts the file system, because the server may be stopped.
    spawnSync('umount', ['--lazy', this.directory]);
    this.#child.process.kill('SIGKILL');
    await within(5000, 'end of fuse-files', () => this.#child.ended);
    if (!isMounted(this.directory)) rmdirSync(this.directory);
  }
}

function isMounted(directory: string): boolean {
  return readFileSync('/proc/self/mountinfo', 'utf8').includes(` ${directory} `);
}

/** Tells whether SIGSTOP has had its effect (proc(5), the third field of stat). */
function isStopped(pid: number): boolean {
  return / T /.test(readFileSync(`/proc/${pid}/stat`, 'latin1').slice(0, 64));
}
