import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readSync } from 'node:fs';
import { mkdtemp, open, readFile, rename, rm, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { O_DIRECTORY, O_PATH, O_RDONLY, O_RDWR, OwnedFd } from '../../../src/linux/fd.js';

describe('OwnedFd', () => {
  let directory: string;
  let path: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'fd-'));
    path = join(directory, 'file');
    await writeFile(path, 'first');
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  const contentOf = (fd: OwnedFd) => readFile(`/proc/self/fd/${fd.fd}`, 'utf8');

  it('is closed for programs that are started: close-on-exec', async () => {
    await using fd = await OwnedFd.open(path, O_RDONLY);
    const flags = /^flags:\s+([0-7]+)$/m.exec(await readFile(`/proc/self/fdinfo/${fd.fd}`, 'utf8'));
    assert.equal(Number.parseInt(flags?.[1] ?? '', 8) & 0o2000000, 0o2000000);
  });

  it('can be closed twice without closing what has the number by then', async () => {
    const first = await OwnedFd.open(path, O_RDONLY);
    const number = first.fd;
    await Promise.all([first.close(), first.close()]);
    const later = await open(path);
    try {
      assert.equal(later.fd, number);
      await first.close();
      await first[Symbol.asyncDispose]();
      assert.equal((await later.stat()).size, 5);
    } finally {
      await later.close();
    }
  });

  it('throws EBADF and its name when it is used after the close', async () => {
    const fd = await OwnedFd.open(path, O_RDONLY, { name: 'the file' });
    await fd.close();
    const expected = { name: 'SystemError', code: 'EBADF', errno: 9, message: /the file/ };
    assert.throws(() => fd.fd, expected);
    await assert.rejects(fd.stat(), expected);
    await assert.rejects(async () => fd.reopen(O_RDONLY), expected);
  });

  it('opens the same inode once more after its name was moved, reused, removed', async () => {
    await using node = await OwnedFd.open(path, O_PATH);
    const { ino, dev } = await node.stat();
    await rename(path, join(directory, 'moved'));
    await writeFile(path, 'second');
    for (const remove of [false, true]) {
      if (remove) await unlink(join(directory, 'moved'));
      await using again = await node.reopen(O_RDWR);
      assert.equal(await contentOf(again), 'first');
      const stat = await again.stat();
      assert.deepEqual([stat.ino, stat.dev], [ino, dev]);
      assert.equal(again.name, path);
    }
  });

  it('reopens for itself: either can be closed alone', async () => {
    const node = await OwnedFd.open(path, O_PATH);
    await using again = await node.reopen(O_RDONLY);
    await node.close();
    assert.equal(await contentOf(again), 'first');
  });

  it('names path and errno where it cannot be opened', async () => {
    const missing = join(directory, 'missing');
    for (const [name, flags, code] of [
      [missing, O_RDONLY, 'ENOENT'],
      [join(path, 'below'), O_RDONLY, 'ENOTDIR'],
      [path, O_PATH | O_DIRECTORY, 'ENOTDIR'],
      [directory, O_RDWR, 'EISDIR'],
    ] as const) {
      await assert.rejects(OwnedFd.open(name, flags), (error: Error) => {
        assert.ok(error.message.startsWith(`open ${name}: `), error.message);
        assert.equal('code' in error && error.code, code);
        return true;
      });
    }
    await assert.rejects(OwnedFd.open(missing, O_RDONLY, { name: 'the image' }), {
      message: /^open the image: /,
    });
  });

  it('opens nothing with O_PATH: a FIFO without a writer does not block it', async () => {
    const fifo = join(directory, 'fifo');
    execFileSync('mkfifo', [fifo]);
    await using node = await OwnedFd.open(fifo, O_PATH);
    assert.equal((await node.stat()).mode & 0o170000n, 0o010000n);
    assert.throws(() => readSync(node.fd, Buffer.alloc(1)), { code: 'EBADF' });
  });
});
