import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ControlSocket } from '../../../src/daemon/control-socket.js';
import { EventFeed, type FeedOptions } from '../../../src/daemon/event-feed.js';
import { GuestNames } from '../../../src/daemon/guest-names.js';
import type { ControlRequest } from '../../../src/daemon/protocol.js';
import { parseVbdPath } from '../../../src/vbd/vbd-path.js';
import { within } from '../../bed/deadline.js';
import { skipByName } from '../../bed/skip.js';

const MOST_UNREAD = 64 * 1024;

describe('the control socket', function () {
  this.timeout(30_000);
  let directory: string;
  let path: string;
  let socket: ControlSocket;
  let feed: EventFeed;
  let snapshot: Awaited<ReturnType<FeedOptions['snapshot']>> = [];
  const asked: ControlRequest[] = [];
  let answer: () => Promise<void>;

  before(function () {
    if (process.getuid?.() !== 0) {
      skipByName(this, 'it answers root only');
    }
  });
  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'xen-control-'));
    path = join(directory, 'control.sock');
    asked.length = 0;
    answer = async () => {};
    feed = new EventFeed({
      names: new GuestNames(async () => 'work'),
      snapshot: async () => snapshot,
      mostUnread: MOST_UNREAD,
    });
    const handler = async (request: ControlRequest) => {
      asked.push(request);
      await answer();
    };
    socket = await ControlSocket.listen(path, {
      ...{ handler, feed, timeoutMs: 30_000 },
      report: (question) => Promise.resolve(`${question} it\n`),
    });
  });
  afterEach(async () => {
    await socket?.close();
    if (directory !== undefined) rmSync(directory, { recursive: true, force: true });
  });

  /** Sends bytes and returns everything that comes back until the end. */
  function exchange(text: string): Promise<string> {
    return within(10_000, `an answer to ${JSON.stringify(text.slice(0, 40))}`, async () => {
      const client = connect(path);
      client.on('error', () => {});
      client.write(text);
      let reply = '';
      for await (const data of client) reply += data;
      return reply;
    });
  }

  const REQUEST = 'xen-blkback 1 add backend/vbd/7/51712\n';

  it('answers questions about the daemon, and asks its handler nothing', async () => {
    for (const question of ['status', 'metrics']) {
      assert.equal(await exchange(`xen-blkback 1 ${question}\n`), `${question} it\n`);
      assert.match(await exchange(`xen-blkback 1 ${question} more\n`), /^failed EPROTOCOL /);
    }
    assert.deepEqual(asked, []);
  });

  it('says that it has understood, and then how it went', async () => {
    assert.equal(await exchange(REQUEST), 'accepted 30000\nok\n');
    assert.deepEqual(asked, [{ action: 'add', path: 'backend/vbd/7/51712' }]);
    answer = async () => {
      throw Object.assign(new Error('no\nway'), { code: 'EWAY' });
    };
    assert.equal(await exchange(REQUEST), 'accepted 30000\nfailed EWAY no way\n');
    answer = async () => {
      throw Object.assign(new Error('gone'), { code: 'EUNAVAILABLE' });
    };
    assert.equal(await exchange(REQUEST), 'accepted 30000\nunavailable\n');
  });

  it('refuses garbage, endless lines and other versions, and asks nobody', async () => {
    assert.match(await exchange('\0\xff\n'), /^failed EPROTOCOL/);
    assert.match(await exchange('x'.repeat(100_000)), /^failed EPROTOCOL .*too long/);
    assert.equal(await exchange('xen-blkback 2 add backend/vbd/7/51712\n'), 'unsupported 1\n');
    assert.deepEqual(asked, []);
  });

  it('takes a line in pieces', async () => {
    const client = connect(path);
    let reply = '';
    client.setEncoding('utf8').on('data', (data: string) => {
      reply += data;
    });
    for (const letter of REQUEST) {
      client.write(letter);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await within(
      5000,
      'the end of the answer',
      () => new Promise((end) => client.once('end', end)),
    );
    assert.equal(reply, 'accepted 30000\nok\n');
  });

  it('goes on when a client vanishes in the middle', async () => {
    let finish = () => {};
    answer = () => new Promise((resolve) => (finish = resolve));
    const client = connect(path);
    client.write(REQUEST);
    await new Promise((resolve) => client.once('data', resolve));
    client.destroy();
    finish();
    answer = async () => {};
    assert.equal(await exchange(REQUEST), 'accepted 30000\nok\n');
  });

  it('does nothing for a client that has given up before it was heard', async () => {
    const program = `
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(b'xen-blkback 1 remove backend/vbd/7/51712\\n')
`;
    // This process hangs meanwhile, as a daemon might.
    execFileSync('/usr/bin/python3', ['-c', program, path]);
    assert.equal(await exchange(REQUEST), 'accepted 30000\nok\n');
    assert.deepEqual(asked, [{ action: 'add', path: 'backend/vbd/7/51712' }]);
  });

  it('answers beside a thousand idle connections', async () => {
    const idle: Socket[] = [];
    for (let i = 0; i < 1000; i++) {
      const client = connect(path);
      client.on('error', () => {});
      idle.push(client);
      // This process accepts them, too.
      if (i % 100 === 99) await once(client, 'connect');
    }
    assert.equal(await exchange(REQUEST), 'accepted 30000\nok\n');
    for (const client of idle) client.destroy();
  });

  describe('to those who read events', () => {
    const vbd = parseVbdPath('backend/vbd/7/51712');
    assert.ok(vbd);
    const publish = (detail: string): void =>
      feed.publish({ time: new Date(), vbd, action: 'add', step: 'opened', detail });

    /** Resolves when the daemon has taken it on, with what it says from then on. */
    async function follow(): Promise<{ client: Socket; said: () => string }> {
      const client = connect(path);
      client.on('error', () => {});
      client.write('xen-blkback 1 events\n');
      let said = '';
      client.setEncoding('utf8').on('data', (data: string) => {
        said += data;
      });
      await once(client, 'data');
      assert.equal(said, 'accepted\n');
      said = '';
      return { client, said: () => said };
    }

    it('tells each of them everything, a line each, until it ends', async () => {
      const readers = [await follow(), await follow()];
      publish('one\ntwo');
      publish('three');
      const ends = readers.map(({ client }) => once(client, 'end'));
      feed.end();
      await within(5000, 'the end', () => Promise.all(ends));
      for (const { said } of readers) {
        const [first, second, last, ...more] = said().split('\n');
        assert.equal(JSON.parse((first ?? '').replace(/^event /, '')).detail, 'one\ntwo');
        assert.match(second ?? '', /^event \{.*"detail":"three"/);
        assert.deepEqual([last, ...more], ['ended', '']);
      }
    });

    /** Objects of what comes after a request, up to a detail. */
    async function listen(request: string, last: string): Promise<Record<string, unknown>[]> {
      const client = connect(path);
      client.on('error', () => {});
      client.write(request);
      let said = '';
      client.setEncoding('utf8').on('data', (data: string) => {
        said += data;
      });
      await within(5000, last, async () => {
        while (!said.includes(`"${last}"`)) await once(client, 'data');
      });
      client.destroy();
      return said
        .split('\n')
        .filter((line) => line.startsWith('event '))
        .map((line) => JSON.parse(line.slice('event '.length)));
    }

    it('numbers them, names the guest, and tells first how everything is where that is asked for', async () => {
      publish('before');
      const event = { time: new Date(), vbd, action: 'snapshot', step: 'attached', detail: 'it' };
      snapshot = [{ event: { ...event, action: 'snapshot' }, domain: 'work' }];
      const heard = listen('xen-blkback 1 events snapshot\n', 'last');
      await within(5000, 'the reader', async () => {
        while (feed.readers === 0) await new Promise((resolve) => setImmediate(resolve));
      });
      publish('first');
      publish('last');
      const told = (await heard).map(({ run, seq, action, detail, domain }) => [
        run === feed.run,
        ...[seq, action, detail, domain],
      ]);
      assert.deepEqual(told, [
        [true, 1, 'snapshot', 'it', 'work'],
        [true, 1, 'snapshot', '1 vbds', null],
        [true, 2, 'add', 'first', 'work'],
        [true, 3, 'add', 'last', 'work'],
      ]);
    });

    it('goes on behind an event that it remembers, and begins anew behind others', async () => {
      snapshot = [];
      for (const detail of ['one', 'two', 'three']) publish(detail);
      const since = (run: string, seq: number, last: string) =>
        listen(`xen-blkback 1 events after ${run} ${seq}\n`, last);
      const missed = await since(feed.run, 1, 'three');
      assert.deepEqual(
        missed.map(({ seq, detail }) => [seq, detail]),
        [
          [2, 'two'],
          [3, 'three'],
        ],
      );
      for (const [run, seq] of [
        ['another', 1],
        [feed.run, 4],
      ] as const) {
        const [begin] = await since(run, seq, '0 vbds');
        assert.equal(begin?.step, 'complete');
      }
      // More has happened than is remembered.
      for (let more = 0; more < 1100; more++) publish('more');
      assert.equal((await since(feed.run, 1, '0 vbds')).length, 1);
    });

    it('cuts off the one who does not read, and nobody else', async () => {
      const [slow, quick] = [await follow(), await follow()];
      slow.client.pause();
      const before = process.memoryUsage().rss;
      let published = 0;
      const cut = within(20_000, 'the slow one to be cut off', async () => {
        const closed = once(slow.client, 'close');
        for (let served = 2; served > 1; published++) {
          publish('x'.repeat(1000));
          served = await new Promise((resolve) => setImmediate(() => resolve(feed.readers)));
        }
        slow.client.resume();
        await closed;
      });
      await cut;
      assert.ok(process.memoryUsage().rss - before < 64 * 1024 * 1024);
      publish('last');
      await within(5000, 'the quick one to have everything', async () => {
        while (!quick.said().includes('"last"')) await once(quick.client, 'data');
      });
      assert.equal(quick.said().split('\n').length - 1, published + 1);
      quick.client.destroy();
    });

    it('refuses when there are too many of them', async () => {
      const readers = [];
      for (let i = 0; i < 32; i++) readers.push(await follow());
      assert.match(await exchange('xen-blkback 1 events\n'), /^failed EBUSY too many/);
      readers.pop()?.client.destroy();
      await within(5000, 'room', async () => {
        while (feed.readers === 32) await new Promise((resolve) => setImmediate(resolve));
      });
      (await follow()).client.destroy();
      for (const { client } of readers) client.destroy();
    });
  });

  it('answers nobody but root, whatever the mode of the socket', async () => {
    chmodSync(path, 0o666);
    chmodSync(directory, 0o755);
    const program = `
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(b'xen-blkback 1 add backend/vbd/7/51712\\n')
print(s.recv(4096).decode(), end='')
`;
    const args = ['--reuid=65534', '--clear-groups', '/usr/bin/python3', '-c', program, path];
    // Not execFileSync: this process has to answer.
    const { stdout } = await promisify(execFile)('setpriv', args);
    assert.match(stdout, /^failed EACCES only root may ask, not user 65534/);
    assert.deepEqual(asked, []);
  });
});
