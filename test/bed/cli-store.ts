import { execFile, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import type {
  TransactionStep,
  Watch,
  WatchListener,
  Xenstore,
} from '../../src/xenstore/xenstore.js';

const run = promisify(execFile);

/** The part of a XenStore client that a toolstack needs here. */
export type ToolstackStore = Pick<Xenstore, 'read' | 'remove' | 'transact' | 'watch'>;

/**
 * A XenStore client that uses Xen's own command line tools. It is for tests of the bed itself,
 * which must not depend on the client that the bed is to test. A transaction must consist of writes
 * only, or of removals only.
 */
export class CliStore implements ToolstackStore {
  readonly #env: NodeJS.ProcessEnv;

  constructor(env: Readonly<Record<string, string>>) {
    this.#env = { ...process.env, ...env };
  }

  async read(path: string): Promise<Buffer> {
    const { stdout } = await run('xenstore-read', ['-R', path], { env: this.#env });
    return Buffer.from(stdout.replace(/\n$/, ''));
  }

  /** Returns the text of a node, or `undefined` if there is none. */
  async text(path: string): Promise<string | undefined> {
    return (await this.exists(path)) ? (await this.read(path)).toString() : undefined;
  }

  async exists(path: string): Promise<boolean> {
    return run('xenstore-exists', [path], { env: this.#env }).then(
      () => true,
      () => false,
    );
  }

  /** Writes nodes in one transaction. */
  async write(nodes: Readonly<Record<string, string>>): Promise<void> {
    // xenstore-write with more than one pair is one transaction.
    await run('xenstore-write', Object.entries(nodes).flat(), { env: this.#env });
  }

  async remove(path: string): Promise<void> {
    await this.#removeAll([path]);
  }

  async #removeAll(paths: readonly string[]): Promise<void> {
    // The tool of Xen 4.17 fails for a path whose parent is missing, too.
    const there: string[] = [];
    for (const path of paths) if (await this.exists(path)) there.push(path);
    // Several paths are one transaction.
    if (there.length > 0) await run('xenstore-rm', there, { env: this.#env });
  }

  async transact(steps: readonly TransactionStep[]): Promise<{ committed: true }> {
    const writes: Record<string, string> = {};
    const removals: string[] = [];
    for (const step of steps) {
      if (step.op === 'write') writes[step.path] = step.value.toString();
      else if (step.op === 'remove') removals.push(step.path);
      else if (step.op !== 'exists') throw new Error(`xenstore-* tools cannot do ${step.op}`);
      else if (!(await this.exists(step.path))) throw new Error(`${step.path} does not exist`);
    }
    if (removals.length > 0) await this.#removeAll(removals);
    if (Object.keys(writes).length > 0) await this.write(writes);
    return { committed: true };
  }

  async watch(path: string, listener: WatchListener): Promise<Watch> {
    const child = spawn('xenstore-watch', [path], {
      env: this.#env,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    let closed = false;
    createInterface({ input: child.stdout }).on('line', (changed) => {
      if (!closed) listener.onEvent(changed);
    });
    void ended.then(() => {
      if (!closed) listener.onLost(new Error('xenstore-watch ended'));
    });
    const close = async () => {
      closed = true;
      child.kill('SIGKILL');
      await ended;
    };
    return { path, close, [Symbol.asyncDispose]: close };
  }
}
