import assert from 'node:assert/strict';
import { connect } from 'node:net';
import type { Daemon } from '../../bed/daemon.js';
import { within } from '../../bed/deadline.js';
import { needs } from '../../bed/needs.js';
import { withDaemon } from './with-daemon.js';

/** Sends a request and returns the last line of the answer. */
async function ask({ socket }: Daemon, request: string): Promise<string> {
  return await within(15_000, 'an answer', async () => {
    const client = connect(socket);
    client.write(request);
    let reply = '';
    for await (const data of client) reply += data;
    return reply.trimEnd().split('\n').pop() ?? '';
  });
}

describe('What a client of the daemon is told', function () {
  this.timeout(60_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  /** Asks, and expects a failure whose sentence the log has as well, exactly once. */
  async function refused(daemon: Daemon, request: string, reply: RegExp): Promise<void> {
    const last = await ask(daemon, request);
    assert.match(last, reply);
    const sentence = last.replace(/^failed \w+ /, '');
    const pattern = sentence.replace(/[^\w ]/g, '\\$&');
    await daemon.says(new RegExp(pattern));
    assert.equal(daemon.said().split(sentence).length - 1, 1, daemon.said());
  }

  for (const [what, request, reply] of [
    ['a path of no vbd', 'xen-blkback 1 add nonsense\n', /^failed EVBD .*no backend path/],
    [
      'a disk that QEMU serves',
      'xen-blkback 1 add backend/qdisk/7/51712\n',
      /^failed EVBD .*QEMU serves/,
    ],
    [
      'a vbd of another backend domain',
      'xen-blkback 1 add /local/domain/5/backend/vbd/7/51712\n',
      /^failed EVBD .*backend of domain 5/,
    ],
    ['no request', 'GET / HTTP/1.0\n', /^failed EPROTOCOL this is not a request/],
    ['an unknown action', 'xen-blkback 1 dance\n', /^failed EPROTOCOL add PATH/],
    ['a request of another protocol', 'xen-blkback 7 status\n', /^unsupported 1$/],
    ['a request without end', 'x'.repeat(2000), /^failed EPROTOCOL .*too long/],
  ] as const) {
    it(`reaches the log too: ${what}`, () =>
      withDaemon({}, (_fixture, daemon) => refused(daemon, request, reply)));
  }

  it('reaches the log once where a job has told it already', () =>
    withDaemon({}, async (fixture, daemon) => {
      const vbd = await fixture.create('/nonexistent/image');
      const request = `xen-blkback 1 add ${vbd.backendPath}\n`;
      await refused(daemon, request, /^failed ENOENT .*nonexistent/);
    }));
});
