import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { promisify } from 'node:util';
import { within } from '../../bed/deadline.js';
import { ControlSocketFixture, needsRoot } from './control-socket-fixture.js';

describe('the control socket', function () {
  this.timeout(30_000);
  let fixture: ControlSocketFixture;

  before(function () {
    needsRoot(this);
  });
  beforeEach(async () => {
    fixture = await ControlSocketFixture.start();
  });
  afterEach(() => fixture?.[Symbol.asyncDispose]());

  const REQUEST = 'xen-blkback 1 add backend/vbd/7/51712\n';

  it('answers questions about the daemon, and asks its handler nothing', async () => {
    for (const question of ['status', 'metrics']) {
      assert.equal(await fixture.exchange(`xen-blkback 1 ${question}\n`), `${question} it\n`);
      assert.match(
        await fixture.exchange(`xen-blkback 1 ${question} more\n`),
        /^failed EPROTOCOL /,
      );
    }
    assert.deepEqual(fixture.asked, []);
  });

  it('says that it has understood, and then how it went', async () => {
    assert.equal(await fixture.exchange(REQUEST), 'accepted 30000\nok\n');
    assert.deepEqual(fixture.asked, [{ action: 'add', path: 'backend/vbd/7/51712' }]);
    fixture.answer = async () => {
      throw Object.assign(new Error('no\nway'), { code: 'EWAY' });
    };
    assert.equal(await fixture.exchange(REQUEST), 'accepted 30000\nfailed EWAY no way\n');
    fixture.answer = async () => {
      throw Object.assign(new Error('gone'), { code: 'EUNAVAILABLE' });
    };
    assert.equal(await fixture.exchange(REQUEST), 'accepted 30000\nunavailable\n');
  });

  it('refuses garbage, endless lines and other versions, and asks nobody', async () => {
    assert.match(await fixture.exchange('\0\xff\n'), /^failed EPROTOCOL/);
    assert.match(await fixture.exchange('x'.repeat(100_000)), /^failed EPROTOCOL .*too long/);
    assert.equal(
      await fixture.exchange('xen-blkback 2 add backend/vbd/7/51712\n'),
      'unsupported 1\n',
    );
    assert.deepEqual(fixture.asked, []);
  });

  it('takes a line in pieces', async () => {
    const client = connect(fixture.path);
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

  it('answers a client that has closed its own direction behind its request', async () => {
    let finish = () => {};
    fixture.answer = () => new Promise((resolve) => (finish = resolve));
    const client = connect({ path: fixture.path, allowHalfOpen: true });
    let reply = '';
    client.setEncoding('utf8').on('data', (data: string) => {
      reply += data;
      // The daemon has heard by now that the client says nothing more.
      setTimeout(() => finish(), 50);
    });
    client.end(REQUEST);
    await within(5000, 'the end of the answer', () => once(client, 'end'));
    assert.equal(reply, 'accepted 30000\nok\n');
  });

  it('closes a connection that ends before its request is complete', async () => {
    const client = connect({ path: fixture.path, allowHalfOpen: true });
    client.on('error', () => {}).resume();
    client.end('xen-blkback 1 add');
    await within(2000, 'the connection to be closed', () => once(client, 'close'));
    assert.deepEqual(fixture.asked, []);
  });

  it('goes on when a client vanishes in the middle', async () => {
    let finish = () => {};
    fixture.answer = () => new Promise((resolve) => (finish = resolve));
    const client = connect(fixture.path);
    client.write(REQUEST);
    await new Promise((resolve) => client.once('data', resolve));
    client.destroy();
    finish();
    fixture.answer = async () => {};
    assert.equal(await fixture.exchange(REQUEST), 'accepted 30000\nok\n');
  });

  it('does nothing for a client that has given up before it was heard', async () => {
    const program = `
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(b'xen-blkback 1 remove backend/vbd/7/51712\\n')
`;
    // This process does nothing until the client has ended, as a daemon that hangs.
    execFileSync('/usr/bin/python3', ['-c', program, fixture.path]);
    assert.equal(await fixture.exchange(REQUEST), 'accepted 30000\nok\n');
    assert.deepEqual(fixture.asked, [{ action: 'add', path: 'backend/vbd/7/51712' }]);
  });

  it('answers beside a thousand idle connections', async () => {
    const idle: Socket[] = [];
    for (let i = 0; i < 1000; i++) {
      const client = connect(fixture.path);
      client.on('error', () => {});
      idle.push(client);
      // This process has to accept the connections too.
      if (i % 100 === 99) await once(client, 'connect');
    }
    assert.equal(await fixture.exchange(REQUEST), 'accepted 30000\nok\n');
    for (const client of idle) client.destroy();
  });

  it('answers nobody but root, whatever the mode of the socket', async () => {
    chmodSync(fixture.path, 0o666);
    chmodSync(fixture.directory, 0o755);
    const program = `
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(b'xen-blkback 1 add backend/vbd/7/51712\\n')
print(s.recv(4096).decode(), end='')
`;
    const args = [
      '--reuid=65534',
      '--clear-groups',
      '/usr/bin/python3',
      '-c',
      program,
      fixture.path,
    ];
    // execFileSync would stop this process, which has to answer.
    const { stdout } = await promisify(execFile)('setpriv', args);
    assert.match(stdout, /^failed EACCES only root may ask, not user 65534/);
    assert.deepEqual(fixture.asked, []);
  });
});
