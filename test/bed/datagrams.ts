import { createInterface } from 'node:readline';
import { type Child, startChild, stopChild } from './child.js';
import { within } from './deadline.js';

// Node has no Unix datagram sockets. So python3 receives, and passes on each datagram as a line.
const RECEIVER = `
import base64, socket, sys
name = sys.argv[1]
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind('\\0' + name[1:] if name.startswith('@') else name)
print('bound', flush=True)
while True:
    print(base64.b64encode(s.recv(1 << 20)).decode(), flush=True)
`;

/** The receiving end of a Unix datagram socket, such as a service manager or the journal has. */
export class DatagramReceiver implements AsyncDisposable {
  readonly received: Buffer[] = [];
  readonly #child: Child;
  #heard = () => {};

  private constructor(child: Child) {
    this.#child = child;
  }

  /** Binds a socket to `address`, which is a path or `@name`. */
  static async bind(address: string): Promise<DatagramReceiver> {
    const child = await startChild('/usr/bin/python3', ['-c', RECEIVER, address], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const receiver = new DatagramReceiver(child);
    const { stdout } = child.process;
    if (!stdout) throw new Error('python3 has no output');
    const lines = createInterface({ input: stdout });
    await within(
      10_000,
      `${address} to be bound`,
      () => new Promise((end) => lines.once('line', end)),
    );
    lines.on('line', (line) => {
      receiver.received.push(Buffer.from(line, 'base64'));
      receiver.#heard();
    });
    return receiver;
  }

  /** Returns all datagrams so far as texts. */
  texts(): string[] {
    return this.received.map((bytes) => bytes.toString('utf8'));
  }

  /** Waits for the first datagram that fits, counting from number `from`, and returns its text. */
  async heard(pattern: RegExp, from = 0): Promise<string> {
    const find = (): string | undefined =>
      this.texts()
        .slice(from)
        .find((text) => pattern.test(text));
    return await within(
      10_000,
      () => `a datagram that fits ${pattern}; there were:\n${this.texts().join('\n--\n')}`,
      async (signal) => {
        for (;;) {
          const text = find();
          if (text !== undefined) return text;
          signal.throwIfAborted();
          await new Promise<void>((resolve) => {
            this.#heard = resolve;
            signal.addEventListener('abort', () => resolve(), { once: true });
          });
        }
      },
    );
  }

  /** Stops reading until `resume`. */
  stop(): void {
    this.#child.process.kill('SIGSTOP');
  }

  resume(): void {
    this.#child.process.kill('SIGCONT');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await stopChild(this.#child);
  }
}
