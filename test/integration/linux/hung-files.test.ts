import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { isSystemError } from '../../../src/linux/errno.js';
import { O_PATH, O_RDONLY, O_RDWR, OwnedFd } from '../../../src/linux/fd.js';
import { awaitHungPlace, describeHungCall, listHungCalls } from '../../../src/linux/hung-calls.js';
import { getLoopStatus } from '../../../src/linux/loop-ioctl.js';
import { pause } from '../../../src/util/retry.js';
import { FuseFiles } from '../../bed/fuse-files.js';
import { attachLoop } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';

describe('A file system that does not answer', function () {
  this.timeout(30_000);
  let healthy: string;
  let file: string;
  before(function () {
    needs(this, 'root', 'loop', 'fuse');
    healthy = mkdtempSync(join(tmpdir(), 'healthy-'));
    file = join(healthy, 'file');
    writeFileSync(file, 'healthy');
  });
  after(() => {
    if (healthy !== undefined) rmSync(healthy, { recursive: true, force: true });
  });
  afterEach(async () => {
    for (let i = 0; i < 50 && listHungCalls().length > 0; i++) await pause(20);
    assert.deepEqual(listHungCalls(), []);
  });

  const openHealthy = async (): Promise<number> => {
    const started = performance.now();
    await using node = await OwnedFd.open(file, O_PATH);
    await node.stat();
    await using _ = await node.reopen(O_RDONLY);
    return performance.now() - started;
  };
  const descriptors = () => readdirSync('/proc/self/fd').length;
  const threads = () => readdirSync('/proc/self/task').length;
  const giveUpAfter = (ms: number) => {
    const reason = new Error('the deadline passed');
    const controller = new AbortController();
    setTimeout(() => controller.abort(reason), ms);
    return { reason, signal: controller.signal };
  };
  /**
   * Waits until `count` descriptors are left. Descriptors that were opened late are closed by then.
   */
  const settle = async (count: number) => {
    for (let i = 0; i < 200 && descriptors() > count; i++) await pause(10);
    assert.equal(descriptors(), count);
  };

  it('lets an open be given up, says where it hangs, and closes what is opened late', async () => {
    await using files = await FuseFiles.mount({ disk: 4096 });
    await openHealthy();
    const before = descriptors();
    await files.stop();
    const { reason, signal } = giveUpAfter(100);
    const started = performance.now();
    await assert.rejects(OwnedFd.open(files.path('disk'), O_RDWR, { signal }), reason);
    assert.ok(performance.now() - started < 300);
    // The place is found when the path is followed once more.
    await awaitHungPlace(reason);
    const sentence = describeHungCall(reason) ?? '';
    const where = `the file system at ${files.directory} (fuse-files, fuse.files) does not answer`;
    assert.ok(sentence.startsWith(where), sentence);
    files.resume();
    await settle(before);
  });

  for (const count of [4, 200]) {
    it(`holds up no healthy file while ${count} opens hang in it`, async () => {
      const names = Array.from({ length: count }, (_, i) => [`disk${i}`, 4096]);
      await using files = await FuseFiles.mount(Object.fromEntries(names));
      await openHealthy();
      const before = descriptors();
      await files.stop();
      const { reason, signal } = giveUpAfter(1500);
      const hanging = names.map(([name]) =>
        assert.rejects(OwnedFd.open(files.path(String(name)), O_RDWR, { signal }), reason),
      );
      const first = await openHealthy();
      const later: number[] = [];
      for (let i = 0; i < 20; i++) later.push(await openHealthy());
      await Promise.all(hanging);
      const median = later.sort((a, b) => a - b)[10] ?? 0;
      assert.ok(first < 150, `the first healthy open took ${first} ms`);
      assert.ok(median < 20, `healthy opens took ${median} ms`);
      assert.ok(threads() >= count);
      files.resume();
      await settle(before);
      await pause(2500);
      assert.ok(threads() < 40);
    });
  }

  it('is told to those who come later at once, and only to those who mean it', async () => {
    const names = Array.from({ length: 12 }, (_, i) => [`disk${i}`, 4096]);
    await using files = await FuseFiles.mount(Object.fromEntries(names));
    const link = join(healthy, 'link');
    symlinkSync(files.path('disk0'), link);
    await files.stop();
    const { reason, signal } = giveUpAfter(1200);
    // The path of a link does not tell where the link leads.
    await Promise.all(
      names.map(() => assert.rejects(OwnedFd.open(link, O_RDWR, { signal }), reason)),
    );
    await pause(1200);
    const refused = (path: string) =>
      assert.rejects(
        OwnedFd.open(path, O_RDONLY, { signal: AbortSignal.timeout(2000) }),
        (error) => {
          assert.ok(isSystemError(error, 'EHUNG'), String(error));
          const says = new RegExp(
            `^open ${path}: the file system at ${files.directory} \\(fuse-files, fuse.files\\) does not answer: \\d+ calls have not come back, the first of them for \\d+ s$`,
          );
          assert.match(error.message, says);
          return true;
        },
      );
    const started = performance.now();
    await refused(files.path('disk5'));
    await refused(link);
    assert.ok(performance.now() - started < 100);
    assert.ok((await openHealthy()) < 50);
    files.resume();
    for (let i = 0; i < 100 && listHungCalls().length > 0; i++) await pause(10);
    await using again = await OwnedFd.open(link, O_RDONLY);
    assert.equal((await again.stat()).size, 4096n);
  });

  it('does not keep the status of a loop device over it from being given up', async () => {
    await using files = await FuseFiles.mount({ disk: 1024 * 1024 });
    const loop = await attachLoop(files.path('disk'));
    await using device = await OwnedFd.open(loop.path, O_RDONLY);
    await files.stop();
    const { reason, signal } = giveUpAfter(100);
    await assert.rejects(getLoopStatus(device, signal), reason);
    assert.match(
      describeHungCall(reason) ?? '',
      /^\/dev\/loop\d+ does not answer \(LOOP_GET_STATUS64 /,
    );
    const directory = `/sys/block/${basename(loop.path)}/loop`;
    assert.equal(readFileSync(join(directory, 'backing_file'), 'utf8').trim(), files.path('disk'));
    assert.ok(readdirSync(directory).includes('offset'));
    files.resume();
    assert.equal((await getLoopStatus(device)).offset, 0n);
    await loop.detach();
  });

  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    it(`does not keep a process with twenty calls to it from ending by ${signal}`, async () => {
      await using files = await FuseFiles.mount({ disk: 4096 });
      await files.stop();
      const script = `
        import { OwnedFd } from ${JSON.stringify(import.meta.resolve('../../../src/linux/fd.js'))};
        const given = AbortSignal.timeout(100);
        for (let i = 0; i < 20; i++) {
          const signal = i % 2 ? given : undefined;
          OwnedFd.open(${JSON.stringify(files.path('disk'))}, 2, { signal }).catch(() => undefined);
        }
        setTimeout(() => console.log('hangs'), 300);`;
      const child = spawn(process.execPath, ['--input-type=module', '-e', script]);
      await once(child.stdout, 'data');
      const started = performance.now();
      child.kill(signal);
      const [, by] = await once(child, 'exit', { signal: AbortSignal.timeout(5000) });
      assert.equal(by, signal);
      assert.ok(performance.now() - started < 1000);
    });
  }

  it('does not hold up a close for longer than a second', async () => {
    await using files = await FuseFiles.mount({ disk: 1024 * 1024 });
    const fd = await OwnedFd.open(files.path('disk'), O_RDWR);
    await files.stop();
    const started = performance.now();
    // FUSE asks the server on each close (FLUSH).
    await fd.close();
    const waited = performance.now() - started;
    assert.ok(waited > 900 && waited < 1300, `${waited} ms`);
    files.resume();
  });
});
