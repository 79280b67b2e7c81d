import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { blockingCall } from '../../../src/linux/blocking-call.js';
import { describeHungCall, listHungCalls } from '../../../src/linux/hung-calls.js';
import { pause } from '../../../src/util/retry.js';
import { projectRoot } from '../../bed/paths.js';

const BLOCKING = join(projectRoot, 'dist/src/linux/blocking-call.js');

/** Returns a `struct timespec` with this time. */
function timespec(ms: number): Buffer {
  const buffer = Buffer.alloc(16);
  buffer.writeBigInt64LE(BigInt(Math.floor(ms / 1000)), 0);
  buffer.writeBigInt64LE(BigInt((ms % 1000) * 1e6), 8);
  return buffer;
}

function sleep(
  ms: number,
  options: { signal?: AbortSignal; key?: string; onAbandonedSuccess?: () => void } = {},
) {
  const { key = 'the bed', ...rest } = options;
  const place = { key, description: key };
  return blockingCall({
    call: 'nanosleep',
    args: [timespec(ms), 0],
    object: 'a while',
    uses: [],
    place: () => place,
    ...rest,
  });
}

const threadNames = (): string[] =>
  readdirSync('/proc/self/task').map((task) => {
    try {
      return readFileSync(`/proc/self/task/${task}/comm`, 'utf8').trim();
    } catch {
      return '';
    }
  });
const threads = () => threadNames().filter((name) => name === 'blocking-call').length;

describe('blockingCall', () => {
  it('gives the result of the call, and fills its buffers', async () => {
    const buffer = Buffer.alloc(256);
    const args = [-100, '/proc/self', 0, 0x7ff, buffer] as const;
    const place = () => undefined;
    assert.equal(
      await blockingCall({ call: 'statx', args, uses: [], object: '/proc/self', place }),
      0,
    );
    assert.equal(buffer.readUInt16LE(28) & 0o170000, 0o040000);
  });

  it('throws a SystemError with the errno of the call, its name and its object', async () => {
    const request = {
      call: 'ioctl',
      args: [-1, 0, 0],
      name: 'BLKROGET',
      object: 'the disk',
      uses: [],
      place: () => undefined,
    } as const;
    await assert.rejects(blockingCall(request), {
      name: 'SystemError',
      code: 'EBADF',
      errno: 9,
      syscall: 'BLKROGET',
      message: /^BLKROGET the disk: /,
    });
  });

  it('keeps errors apart that come from many calls at a time', async () => {
    const one = (fd: number) =>
      blockingCall({ call: 'close', args: [fd], object: 'x', uses: [], place: () => undefined });
    const isFolder = (path: string) =>
      blockingCall({
        call: 'openat',
        args: [-100, path, 2, 0],
        object: 'x',
        uses: [],
        place: () => undefined,
      });
    const all = Array.from({ length: 300 }, (_, i) =>
      assert.rejects(i % 2 === 0 ? one(-1) : isFolder('/'), { code: i % 2 ? 'EISDIR' : 'EBADF' }),
    );
    await Promise.all(all);
  });

  it('does not begin with a signal that is aborted already', async () => {
    const reason = new Error('no more');
    await assert.rejects(sleep(1000, { signal: AbortSignal.abort(reason) }), reason);
  });

  it('rejects with the reason of the signal at once, and disposes of what comes late', async () => {
    const controller = new AbortController();
    const reason = new Error('the deadline passed');
    let late = 0;
    const started = performance.now();
    const call = sleep(300, { signal: controller.signal, onAbandonedSuccess: () => late++ });
    setTimeout(() => controller.abort(reason), 20);
    await assert.rejects(call, reason);
    assert.ok(performance.now() - started < 200);
    assert.deepEqual(
      listHungCalls().map(({ syscall, object }) => [syscall, object]),
      [['nanosleep', 'a while']],
    );
    assert.match(
      describeHungCall(reason) ?? '',
      /^the bed does not answer \(nanosleep a while has not come back for 0 s\)$/,
    );
    assert.equal(late, 0);
    await pause(350);
    assert.equal(late, 1);
    assert.deepEqual(listHungCalls(), []);
  });

  it('does not write to the buffer of a call that was given up', async () => {
    const request = timespec(100);
    const controller = new AbortController();
    const remainder = Buffer.alloc(16);
    const call = blockingCall({
      call: 'nanosleep',
      args: [request, remainder],
      object: 'a while',
      signal: controller.signal,
      uses: [],
      place: () => undefined,
    });
    controller.abort();
    request.fill(0xff);
    await assert.rejects(call);
    await pause(150);
    assert.ok(request.every((byte) => byte === 0xff));
  });

  it('lets none wait for another, however many hang, and ends the threads it does not need', async () => {
    const before = threads();
    const hanging = Array.from({ length: 200 }, () => sleep(1500));
    const started = performance.now();
    await sleep(1);
    const waited = performance.now() - started;
    assert.ok(waited < 250, `${waited} ms behind 200 calls that hang`);
    assert.ok(threads() >= 200);
    await Promise.all(hanging);
    await pause(2500);
    assert.ok(threads() <= before + 8, `${threads()} threads, ${before} before`);
  });

  it('uses few threads for calls that are short', async () => {
    await pause(2500);
    await Promise.all(Array.from({ length: 500 }, () => sleep(0)));
    assert.ok(threads() <= 64, `${threads()} threads`);
  });

  it('refuses the ninth call where eight hang for a second, and no call elsewhere', async () => {
    const controller = new AbortController();
    const hanging = Array.from({ length: 8 }, () =>
      sleep(2500, { signal: controller.signal, key: 'the server' }),
    );
    await pause(1100);
    controller.abort(new Error('enough'));
    await Promise.allSettled(hanging);
    await assert.rejects(sleep(1, { key: 'the server' }), {
      name: 'SystemError',
      code: 'EHUNG',
      message:
        'nanosleep a while: the server does not answer: 8 calls have not come back, the first of them for 1 s',
    });
    assert.equal(await sleep(1, { key: 'another server' }), 0);
    await pause(1600);
    assert.deepEqual(listHungCalls(), []);
    assert.equal(await sleep(1, { key: 'the server' }), 0);
  });

  it('does not take calls for hung that were given up before they had a second', async () => {
    const controller = new AbortController();
    const hanging = Array.from({ length: 20 }, () =>
      sleep(300, { signal: controller.signal, key: 'busy' }),
    );
    controller.abort(new Error('changed my mind'));
    await Promise.allSettled(hanging);
    assert.equal(await sleep(1, { key: 'busy' }), 0);
    await pause(400);
  });

  const inProcess = (code: string) => {
    const script = `
      import { blockingCall } from ${JSON.stringify(BLOCKING)};
      const forever = Buffer.alloc(16); forever[0] = 60;
      const hang = (signal) => blockingCall(
        { call: 'nanosleep', args: [forever, 0], object: 'x', uses: [], place: () => undefined, signal });
      ${code}`;
    const started = performance.now();
    const args = ['--input-type=module', '-e', script];
    const { status, signal, stderr } = spawnSync(process.execPath, args, {
      timeout: 10_000,
      encoding: 'utf8',
    });
    return { status, signal, stderr, ms: performance.now() - started };
  };

  for (const [what, code, ends] of [
    [
      'by itself, with calls that were given up',
      'await hang(AbortSignal.timeout(50)).catch(() => 0);',
      0,
    ],
    ['with process.exit', 'hang(); hang(); setTimeout(() => process.exit(3), 50);', 3],
    [
      'with SIGTERM',
      "hang(); setTimeout(() => process.kill(process.pid, 'SIGTERM'), 50);",
      'SIGTERM',
    ],
    [
      'with a worker that is terminated',
      `import { Worker } from 'node:worker_threads';
       const worker = new Worker(\`
         const use = async () => {
           const { blockingCall } = await import(${JSON.stringify(BLOCKING)});
           const { parentPort } = await import('node:worker_threads');
           const forever = Buffer.alloc(16); forever[0] = 60;
           parentPort.postMessage('now');
           await blockingCall({ call: 'nanosleep', args: [forever, 0], object: 'x', uses: [], place: () => undefined });
         };
         use();\`, { eval: true });
       worker.once('message', () => worker.terminate());`,
      0,
    ],
  ] as const) {
    it(`lets a process end at once ${what}`, () => {
      const { status, signal, ms, stderr } = inProcess(code);
      assert.equal(signal ?? status, ends, stderr);
      assert.ok(ms < 3000, `${ms} ms`);
    });
  }

  it('closes what calls have opened whose worker ends as it hears of an earlier one', () => {
    const { status, stderr } = inProcess(`
      import { Worker } from 'node:worker_threads';
      import { readdirSync, readlinkSync } from 'node:fs';
      const path = process.execPath;
      const worker = new Worker(\`
        import(${JSON.stringify(BLOCKING)}).then(({ blockingCall }) => {
          const open = () => blockingCall({ call: 'openat', args: [-100, '\${path}', 0o2000000, 0],
            object: 'x', uses: [], place: () => undefined });
          for (let i = 0; i < 8; i++) open().then(() => process.exit());
          // All of them come back before the event loop hears of the first one.
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
        });\`, { eval: true });
      await new Promise((resolve) => worker.once('exit', resolve));
      const isOpen = (fd) => {
        try { return readlinkSync('/proc/self/fd/' + fd) === path; } catch { return false; }
      };
      // Its first one went with its own callback, which has not closed it.
      process.exitCode = 10 + readdirSync('/proc/self/fd').filter(isOpen).length;`);
    assert.equal(status, 11, stderr);
  });

  it('keeps a process alive while somebody waits for a call', () => {
    const { status, stderr } = inProcess(`
      forever[0] = 0; forever.writeUInt32LE(2e8, 8);
      hang().then(() => { process.exitCode = 5; });`);
    assert.equal(status, 5, stderr);
  });

  it('reports that no thread is to be had as the error of the call', () => {
    const { status, stderr } = inProcess(`
      import { execFileSync } from 'node:child_process';
      import { loadAddon } from ${JSON.stringify(BLOCKING.replace('blocking-call.js', 'addon.js'))};
      // Another user may not be able to enter the directory of the checkout.
      loadAddon();
      execFileSync('prlimit', ['--pid', String(process.pid), '--nproc=1:1']);
      process.setuid(65534);
      const error = await hang().catch((failure) => failure);
      if (error.code !== 'EAGAIN' || error.syscall !== 'pthread_create') throw error;
      process.exitCode = 6;`);
    assert.equal(status, 6, stderr);
  });
});
