import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { ioctl } from '../../../src/linux/calls.js';
import { O_DIRECTORY, O_RDONLY, OwnedFd } from '../../../src/linux/fd.js';

// The numbers are from linux/fs.h and asm-generic/ioctls.h.
const FIONREAD = { name: 'FIONREAD', number: 0x541b };
const FICLONE = { name: 'FICLONE', number: 0x40049409 };
const BLKROGET = { name: 'BLKROGET', number: 0x125e };

// koffi queues fewer calls by default. A daemon with hundreds of vbds may have as many under way.
const CALLS = 400;

describe('ioctl', () => {
  let directory: string;
  let file: OwnedFd;
  let folder: OwnedFd;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'ioctl-'));
    await writeFile(join(directory, 'file'), 'twelve bytes');
    file = await OwnedFd.open(join(directory, 'file'), O_RDONLY);
    folder = await OwnedFd.open(directory, O_RDONLY | O_DIRECTORY);
  });
  after(async () => {
    await file.close();
    await folder.close();
    await rm(directory, { recursive: true });
  });

  const bytesReadable = async (): Promise<number> => {
    const buffer = Buffer.alloc(4);
    assert.equal(await ioctl(file.fd, FIONREAD, buffer, 'the file'), 0);
    return buffer.readInt32LE();
  };

  it('lets the kernel fill the buffer', async () => {
    assert.equal(await bytesReadable(), 12);
  });

  it('throws a SystemError that names request and object', async () => {
    await assert.rejects(ioctl(file.fd, BLKROGET, Buffer.alloc(4), 'the file'), {
      name: 'SystemError',
      code: 'ENOTTY',
      errno: 25,
      syscall: 'BLKROGET',
      message: 'BLKROGET the file: not supported by this device or kernel (ENOTTY)',
    });
  });

  it('gives each of many failing calls at once its own errno', async () => {
    const calls: readonly (readonly [string, () => Promise<number>])[] = [
      ['EBADF', () => ioctl(1_000_000, FIONREAD, Buffer.alloc(4), 'x')],
      ['ENOTTY', () => ioctl(file.fd, BLKROGET, Buffer.alloc(4), 'x')],
      ['EFAULT', () => ioctl(file.fd, FIONREAD, 0, 'x')],
      ['EISDIR', () => ioctl(folder.fd, FICLONE, file.fd, 'x')],
    ];
    const outcomes = await Promise.all(
      Array.from({ length: CALLS }, async (_, index) => {
        // Successful calls come in between, and so do calls on the main thread that fail.
        if (index % 10 === 0) assert.equal(await bytesReadable(), 12);
        const [code, call] = calls[index % calls.length] ?? assert.fail();
        return call().then(
          () => assert.fail('it did not fail'),
          (error: { code: string }) => `${code}: ${error.code}`,
        );
      }),
    );
    assert.deepEqual(
      [...new Set(outcomes)].sort(),
      calls.map(([code]) => `${code}: ${code}`).sort(),
    );
  });

  it('takes thousands at once, as a burst of hundreds of vbds makes them', async () => {
    const found = await Promise.all(Array.from({ length: 3000 }, () => bytesReadable()));
    assert.deepEqual([...new Set(found)], [12]);
  });

  it('keeps its buffers while garbage is collected', async () => {
    setFlagsFromString('--expose_gc');
    const collect = runInNewContext('gc') as () => void;
    // Only the calls refer to the buffers that they fill.
    const found = Array.from({ length: 500 }, () => bytesReadable());
    collect();
    await turn();
    collect();
    assert.deepEqual([...new Set(await Promise.all(found))], [12]);
  });
});
