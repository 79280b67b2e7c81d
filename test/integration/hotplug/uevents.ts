import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { within } from '../../bed/deadline.js';

/**
 * A program that prints the header of each uevent of the kernel, such as
 * `change@/devices/virtual/block/loop0`.
 */
const LISTENER = `
import socket
s = socket.socket(16, socket.SOCK_DGRAM, 15)  # AF_NETLINK, NETLINK_KOBJECT_UEVENT
s.bind((0, 1))
print('listening', flush=True)
while True:
    print(s.recv(65536).split(b'\\0')[0].decode('latin1'), flush=True)
`;

/** The uevents that the kernel sends while a test runs. */
export class Uevents implements AsyncDisposable {
  readonly #child;
  readonly #seen: string[] = [];
  readonly #waiting = new Set<() => void>();

  private constructor() {
    this.#child = spawn('python3', ['-c', LISTENER], { stdio: ['ignore', 'pipe', 'inherit'] });
    createInterface({ input: this.#child.stdout }).on('line', (line) => {
      this.#seen.push(line);
      for (const look of this.#waiting) look();
    });
  }

  static async listen(): Promise<Uevents> {
    const uevents = new Uevents();
    await uevents.#seeing((line) => line === 'listening');
    return uevents;
  }

  /**
   * Resolves when a `change` event of the device called `name` has come. Each event counts once.
   */
  async change(name: string): Promise<void> {
    const fits = (line: string) => line.startsWith('change@') && line.endsWith(`/${name}`);
    await this.#seeing(fits);
    this.#seen.splice(this.#seen.findIndex(fits), 1);
  }

  /** Returns the `change` events that have come and that no `change` call has counted. */
  changesOf(name: string): string[] {
    return this.#seen.filter((line) => line.startsWith('change@') && line.endsWith(`/${name}`));
  }

  forget(): void {
    this.#seen.length = 0;
  }

  async #seeing(fits: (line: string) => boolean): Promise<void> {
    let look = () => {};
    try {
      await within(
        5000,
        () => `a uevent; seen: ${this.#seen.join(', ')}`,
        () =>
          new Promise<void>((resolve) => {
            look = () => void (this.#seen.some(fits) && resolve());
            this.#waiting.add(look);
            look();
          }),
      );
    } finally {
      this.#waiting.delete(look);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#child, 'exit');
    this.#child.kill();
    await ended;
  }
}
