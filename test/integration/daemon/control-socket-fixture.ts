import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ControlSocket } from '../../../src/daemon/control-socket.js';
import { EventFeed, type FeedOptions } from '../../../src/daemon/event-feed.js';
import { GuestNames } from '../../../src/daemon/guest-names.js';
import type { ControlRequest } from '../../../src/daemon/protocol.js';
import { within } from '../../bed/deadline.js';
import { skipByName } from '../../bed/skip.js';

const MOST_UNREAD = 64 * 1024;

/** Skips a suite if this process is not root, because the control socket answers root only. */
export function needsRoot(context: Mocha.Context): void {
  if (process.getuid?.() !== 0) {
    skipByName(context, 'it answers root only');
  }
}

/** A control socket in a directory of its own, whose handler and snapshot a test sets. */
export class ControlSocketFixture implements AsyncDisposable {
  readonly directory = mkdtempSync(join(tmpdir(), 'xen-control-'));
  readonly path = join(this.directory, 'control.sock');
  /** The requests that the handler got. */
  readonly asked: ControlRequest[] = [];
  /** What the handler does with a request; its failure is the failure of the request. */
  answer: () => Promise<void> = async () => {};
  /** The events that a reader gets first if it asks for a snapshot. */
  snapshot: Awaited<ReturnType<FeedOptions['snapshot']>> = [];
  readonly feed = new EventFeed({
    names: new GuestNames(async () => 'work'),
    snapshot: async () => this.snapshot,
    mostUnread: MOST_UNREAD,
  });
  #socket: ControlSocket | undefined;

  private constructor() {}

  /** Starts a control socket that listens. */
  static async start(): Promise<ControlSocketFixture> {
    const fixture = new ControlSocketFixture();
    const handler = async (request: ControlRequest) => {
      fixture.asked.push(request);
      await fixture.answer();
    };
    const { path, feed } = fixture;
    try {
      fixture.#socket = await ControlSocket.listen(path, {
        ...{ handler, feed, timeoutMs: 30_000 },
        report: (question) => Promise.resolve(`${question} it\n`),
      });
      return fixture;
    } catch (error) {
      await fixture[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Sends bytes and returns everything that comes back until the end. */
  exchange(text: string): Promise<string> {
    return within(10_000, `an answer to ${JSON.stringify(text.slice(0, 40))}`, async () => {
      const client = connect(this.path);
      client.on('error', () => {});
      client.write(text);
      let reply = '';
      for await (const data of client) reply += data;
      return reply;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#socket?.close();
    rmSync(this.directory, { recursive: true, force: true });
  }
}
