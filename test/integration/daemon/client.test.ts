import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { CLIENT_SOURCES } from '../../../install/client.js';
import { interpretFiles } from '../../../src/cli/read-config.js';
import { projectRoot, temporaryDirectory } from '../../bed/paths.js';

const run = promisify(execFile);

/** The answer of the daemon of a test to one client. */
type Behaviour = (socket: Socket, request: string) => void;

describe('The compiled hotplug client', function () {
  this.timeout(30_000);
  let directory: string;
  let server: Server | undefined;
  before(async () => {
    directory = temporaryDirectory();
    // This program stands in for the one-shot program. It prints its action and its time limit.
    const program = join(directory, 'one-shot');
    writeFileSync(
      program,
      '[ "$XEN_BLKBACK_TIMEOUT" ] || XEN_BLKBACK_TIMEOUT=unset\necho one-shot $1 $XEN_BLKBACK_TIMEOUT\n',
    );
    await run('cc', [
      ...['-std=gnu2x', '-Wall', '-Wextra', '-Werror', '-O2', '-D_FORTIFY_SOURCE=2'],
      ...['-fsanitize=address,undefined', '-fno-sanitize-recover=all'],
      ...[`-DPROGRAM="${program}"`, '-DNODE="/bin/sh"'],
      ...[`-DCONFIG="${join(directory, 'conf')}"`, `-DOLD_CONFIG="${join(directory, 'old')}"`],
      ...['-o', join(directory, 'client')],
      ...CLIENT_SOURCES.map((source) => join(projectRoot, source)),
    ]);
  });
  afterEach(async () => {
    const closing = server;
    server = undefined;
    if (closing !== undefined) await new Promise((done) => closing.close(done));
  });
  after(() => rm(directory, { recursive: true, force: true }));

  const listen = async (behaviour: Behaviour): Promise<void> => {
    const listening = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', (data) => behaviour(socket, data.toString()));
    });
    server = listening;
    await new Promise<void>((done) => listening.listen(join(directory, 'socket'), done));
  };

  const client = async (env: Readonly<Record<string, string>> = {}) => {
    const started = performance.now();
    const child = spawn(join(directory, 'client'), ['add'], {
      env: {
        XENBUS_PATH: 'backend/vbd/7/51712',
        XEN_BLKBACK_SOCKET: join(directory, 'socket'),
        ...env,
      },
    });
    const [out, err, status] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      new Promise((done) => child.once('close', done)),
    ]);
    const [, seconds] = /^one-shot add (\S+)\n$/.exec(out) ?? [];
    return { out, err, status, seconds, ms: performance.now() - started };
  };
  const near = (seconds: string | undefined, expected: number): void =>
    assert.ok(Math.abs(Number(seconds) - expected) < 0.4, `${seconds} s, ${expected} expected`);
  const say = (socket: Socket, ms: number, words: string) =>
    setTimeout(() => socket.write(words), ms);

  it('leaves the time to the one-shot program where there is no daemon', async () => {
    assert.equal((await client()).seconds, 'unset');
    assert.equal((await client({ XEN_BLKBACK_TIMEOUT: '12' })).seconds, '12');
  });

  it('gives the one-shot program what is left where the daemon does not accept in time', async () => {
    await listen((socket) => setTimeout(() => socket.destroy(), 5000));
    const { seconds, status } = await client({ XEN_BLKBACK_TIMEOUT: '10' });
    assert.equal(status, 0);
    near(seconds, 6);
  });

  it('gives it what is left where the daemon is unavailable after a while', async () => {
    await listen((socket) => {
      socket.write('accepted 20000\n');
      setTimeout(() => socket.end('unavailable\n'), 700);
    });
    near((await client()).seconds, 19.3);
  });

  it('gives it what is left of the time of a daemon that has died after it accepted', async () => {
    await listen((socket) => {
      socket.write('accepted 3000\n');
      setTimeout(() => socket.destroy(), 500);
    });
    near((await client()).seconds, 2.5);
  });

  it('gives it a second at least', async () => {
    await listen((socket) => {
      socket.write('accepted 300\n');
      setTimeout(() => socket.destroy(), 600);
    });
    assert.equal((await client()).seconds, '1.000');
  });

  it('waits as long as the daemon has said, whatever its own environment says', async () => {
    await listen((socket) => {
      socket.write('accepted 5000\n');
      say(socket, 2500, 'ok\n');
    });
    const { status, out } = await client({ XEN_BLKBACK_TIMEOUT: '0.5' });
    assert.deepEqual([status, out], [0, '']);
  });

  it('waits no longer than that, and a second', async () => {
    await listen((socket) => socket.write('accepted 500\n'));
    const { status, err, ms } = await client();
    assert.equal(status, 1);
    assert.match(err, /^xen-blkback: backend\/vbd\/7\/51712: the daemon does not answer\n$/);
    assert.ok(ms > 1400 && ms < 2500, `${ms} ms`);
  });

  it('keeps its own time with a daemon that does not say how long it has', async () => {
    await listen((socket) => {
      socket.write('accepted\n');
      say(socket, 100, 'failed EBUSY it is in use\n');
    });
    const { status, err } = await client();
    assert.deepEqual([status, err], [1, 'xen-blkback: backend/vbd/7/51712: it is in use\n']);
  });

  it('prints the start of a sentence that is too long, and does not do the work itself', async () => {
    await listen((socket) => socket.write(`accepted 5000\nfailed EBUSY ${'x'.repeat(9000)}\n`));
    const { status, out, err } = await client();
    assert.deepEqual([status, out], [1, '']);
    assert.match(err, /^xen-blkback: backend\/vbd\/7\/51712: x{4000,4096}\n$/);
  });

  it('does the work itself where the line that is to accept it has no end', async () => {
    await listen((socket) => socket.write(`accepted ${'5'.repeat(9000)}`));
    assert.equal((await client()).seconds, 'unset');
  });

  for (const line of [
    'accepted ',
    'accepted x',
    'accepted -5',
    'accepted 5x',
    'acceptedly',
    'accepted 99999999999999999999',
  ]) {
    it(`does the work itself where it is told ${JSON.stringify(line)}`, async () => {
      await listen((socket) => socket.end(`${line}\nok\n`));
      assert.equal((await client()).seconds, 'unset');
    });
  }

  describe('and the configuration file', () => {
    const config = (text: string, old = ''): void => {
      writeFileSync(join(directory, 'conf'), text);
      writeFileSync(join(directory, 'old'), old);
    };
    after(() => config(''));
    /** The environment without the variables that would override the file. */
    const plain = { XEN_BLKBACK_SOCKET: '' };
    const place = (): string => join(directory, 'socket');

    const SPELLINGS: readonly ((path: string) => string)[] = [
      (path) => `socket=${path}`,
      (path) => `# socket=/x\n\n \tsocket \t= ${path} \t\r\ntimeout=3\n`,
      (path) => `timeout=3\nsocket="${path}" # here`,
      (path) => `socket='${path}'\n`,
      (path) => `socket=${path} # here\n`,
      (path) => `socket=${path}#here\n`,
      (path) => `sockets=${path}\n`,
      (path) => `#socket=${path}\n`,
      (path) => `socket =\n${path}\n`,
      (path) => `socket="${path}\n`,
      (path) => `run-dir=/socket=${path}\n`,
      (path) => `socket=/x${path}\n`,
      (path) => `${'#'.repeat(65_536)}\nsocket=${path}\n`,
      () => '',
    ];
    for (const [index, spell] of SPELLINGS.entries()) {
      it(`finds the socket where the daemon does, spelling ${index}`, async () => {
        await listen((socket) => socket.end('accepted 5000\nok\n'));
        const text = spell(place());
        const { texts } = interpretFiles('/conf', text, undefined);
        config(text);
        const { out } = await client(plain);
        assert.equal(out === '', texts.socket?.text === place());
      });
    }

    it('is overridden by the environment', async () => {
      await listen((socket) => socket.end('accepted 5000\nok\n'));
      config('socket=/nowhere\n');
      assert.equal((await client()).out, '');
    });

    it('says how much time there is, and is overridden by the environment', async () => {
      await listen((socket) => setTimeout(() => socket.destroy(), 200));
      config('timeout=7\n');
      near((await client()).seconds, 6.8);
      near((await client({ XEN_BLKBACK_TIMEOUT: '9' })).seconds, 8.8);
    });

    it('may be the old one, where the new one does not say', async () => {
      await listen((socket) => setTimeout(() => socket.destroy(), 200));
      config('', `#\nXEN_BLKBACK_SOCKET="${place()}"\nXEN_BLKBACK_TIMEOUT=7\n`);
      near((await client(plain)).seconds, 6.8);
      config('timeout=9\n', `XEN_BLKBACK_SOCKET=${place()}\nXEN_BLKBACK_TIMEOUT=7\n`);
      near((await client(plain)).seconds, 8.8);
    });

    it('may be another one, and then the old one is not read', async () => {
      await listen((socket) => socket.end('accepted 5000\nok\n'));
      config('socket=/nowhere\n', `XEN_BLKBACK_SOCKET=${place()}\n`);
      const other = join(directory, 'other');
      writeFileSync(other, `socket=${place()}\n`);
      assert.equal((await client({ ...plain, XEN_BLKBACK_CONFIG: other })).out, '');
      writeFileSync(other, '');
      assert.notEqual((await client({ ...plain, XEN_BLKBACK_CONFIG: other })).out, '');
    });
  });

  it('is built so that what overflows in it does no harm', async () => {
    const { stdout } = await run('readelf', [
      ...['--file-header', '--program-headers', '--dynamic', '--wide'],
      join(projectRoot, 'test/bed/build/block-diskseq'),
    ]);
    assert.match(stdout, /Type:\s+DYN/);
    assert.match(stdout, /GNU_RELRO/);
    assert.match(stdout, /GNU_STACK\s+\S+ \S+ \S+ \S+ \S+ RW /);
    assert.match(stdout, /BIND_NOW|NOW/);
  });
});
