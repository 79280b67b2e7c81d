import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';

/** Two files, or two mapper devices, of which only one is what was meant. */
export interface Pair {
  readonly right: string;
  readonly wrong: string;
}

/** What there is to be raced for, and who takes it away. */
export interface Fixture {
  /** Makes the right device. The target says which one it is; a path alone would not. */
  prepare(): { readonly path: string; readonly target: string };
  /** Begins to put the wrong one in its place. */
  strike(path: string): void;
  /** Ends that, and takes everything away that is left. */
  cleanUp(): Promise<void>;
  /** What the driver then has open is called so. */
  readonly right: string;
}

/** A loop device, cleared and set up again over another file by test/bed/churn.c. */
export class LoopFixture implements Fixture {
  readonly right: string;
  readonly #pair: Pair;
  #churn: ChildProcess | undefined;

  constructor(pair: Pair) {
    this.#pair = pair;
    this.right = pair.right;
  }

  prepare(): { path: string; target: string } {
    const path = run('losetup', '--show', '-f', this.right);
    const diskseq = readFileSync(`/sys/block/${basename(path)}/diskseq`, 'utf8').trim();
    return { path, target: `path=${path},diskseq=${diskseq}` };
  }

  strike(path: string): void {
    this.#churn = spawn('/bed/churn', [this.#pair.wrong, this.right], {
      stdio: ['pipe', 'ignore', 'inherit'],
    });
    this.#churn.stdin?.write(`start ${path}\n`);
  }

  async cleanUp(): Promise<void> {
    await end(this.#churn);
    this.#churn = undefined;
    for (const file of [this.#pair.wrong, this.right]) {
      for (const path of run('losetup', '-n', '-O', 'NAME', '-j', file).split(/\s+/)) {
        if (path !== '') tryRun('losetup', '-d', path);
      }
    }
  }
}

/** A mapper device, removed and made anew under another name, with the same number. */
export class MapperFixture implements Fixture {
  readonly right = 'race-right';
  readonly #tables: Pair;
  #striker: ChildProcess | undefined;

  constructor(tables: Pair) {
    this.#tables = tables;
  }

  prepare(): { path: string; target: string } {
    run('dmsetup', 'create', this.right, '--table', this.#tables.right);
    run('dmsetup', 'mknodes');
    return { path: `/dev/mapper/${this.right}`, target: `dm-name=${this.right}` };
  }

  strike(): void {
    const script = `until dmsetup remove ${this.right}; do :; done
      exec dmsetup create race-wrong --table '${this.#tables.wrong}'`;
    this.#striker = spawn('bash', ['-c', script], { stdio: 'ignore', detached: true });
  }

  async cleanUp(): Promise<void> {
    const pid = this.#striker?.pid;
    if (pid !== undefined && this.#striker?.exitCode === null) {
      const ended = once(this.#striker, 'exit');
      // Its children too.
      process.kill(-pid, 'SIGKILL');
      await ended;
    }
    this.#striker = undefined;
    for (const name of [this.right, 'race-wrong']) tryRun('dmsetup', 'remove', '--retry', name);
  }
}

async function end(child: ChildProcess | undefined): Promise<void> {
  if (child === undefined || child.exitCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}

function run(file: string, ...args: readonly string[]): string {
  return execFileSync(file, args, { encoding: 'utf8' }).trim();
}

function tryRun(file: string, ...args: readonly string[]): void {
  try {
    execFileSync(file, args, { stdio: 'ignore' });
  } catch {
    // It is gone already.
  }
}
