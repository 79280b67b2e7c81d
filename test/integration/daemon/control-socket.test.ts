import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ControlSocket } from '../../../src/daemon/control-socket.js';
import type { ControlRequest } from '../../../src/daemon/protocol.js';
import { within } from '../../bed/deadline.js';

describe('the control socket', function () {
  this.timeout(30_000);
  let directory: string;
  let path: string;
  let socket: ControlSocket;
  const asked: ControlRequest[] = [];
  let answer: () => Promise<void>;

  before(function () {
    if (process.getuid?.() !== 0) {
      console.log('SKIPPED: the control socket: it answers root only');
      this.skip();
    }
  });
  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'xen-control-'));
    path = join(directory, 'control.sock');
    asked.length = 0;
    answer = async () => {};
    socket = await ControlSocket.listen(path, async (request) => {
      asked.push(request);
      await answer();
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

  it('says that it has understood, and then how it went', async () => {
    assert.equal(await exchange(REQUEST), 'accepted\nok\n');
    assert.deepEqual(asked, [{ action: 'add', path: 'backend/vbd/7/51712' }]);
    answer = async () => {
      throw Object.assign(new Error('no\nway'), { code: 'EWAY' });
    };
    assert.equal(await exchange(REQUEST), 'accepted\nfailed EWAY no way\n');
    answer = async () => {
      throw Object.assign(new Error('gone'), { code: 'EUNAVAILABLE' });
    };
    assert.equal(await exchange(REQUEST), 'accepted\nunavailable\n');
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
    assert.equal(reply, 'accepted\nok\n');
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
    assert.equal(await exchange(REQUEST), 'accepted\nok\n');
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
    assert.equal(await exchange(REQUEST), 'accepted\nok\n');
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
    assert.equal(await exchange(REQUEST), 'accepted\nok\n');
    for (const client of idle) client.destroy();
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
