import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import type { ExportRequest } from '../../../src/block/open-export.js';
import { openExport } from '../../../src/block/open-export.js';
import { makeImage } from '../../bed/images.js';
import { skipByName } from '../../bed/skip.js';
import { fixture, mountNew, request, run } from './fixture.js';

describe('What cannot be exported', () => {
  const shop = fixture();
  const at = (name: string) => join(shop.directory, name);
  let server: Server;

  before(async () => {
    mkdirSync(at('directory'));
    await run('mkfifo', [at('fifo')]);
    server = createServer().listen(at('socket'));
    await once(server, 'listening');
    symlinkSync('/dev/null', at('link-to-null'));
    symlinkSync(at('nowhere'), at('dangling'));
    symlinkSync(at('circle'), at('circle'));
    writeFileSync(at('empty'), '');
    writeFileSync(at('511'), Buffer.alloc(511));
    writeFileSync(at('6k'), Buffer.alloc(6144));
  });
  after(() => server?.close());

  /**
   * Returns the error of a refused request. Fails if the request is granted, or if it takes as long
   * as a wait for the other end of a FIFO.
   */
  async function refusal(asked: ExportRequest): Promise<Error & { code?: string }> {
    const start = performance.now();
    const outcome = await openExport(asked, AbortSignal.timeout(5000)).then(
      async (device) => {
        await device.close();
        return assert.fail('it was exported');
      },
      (error: Error) => error,
    );
    assert.ok(performance.now() - start < 2000, 'it took too long');
    return outcome;
  }

  for (const [name, code, words] of [
    ['directory', 'ENOTDISK', 'is a directory'],
    ['fifo', 'ENOTDISK', 'is a FIFO'],
    ['socket', 'ENOTDISK', 'is a socket'],
    ['link-to-null', 'ENOTDISK', 'is a character device'],
    ['dangling', 'ENOENT', 'no such file'],
    ['circle', 'ELOOP', 'symbolic links'],
    ['nowhere', 'ENOENT', 'no such file'],
    ['empty/below', 'ENOTDIR', 'not a directory'],
    ['x'.repeat(256), 'ENAMETOOLONG', 'too long'],
    ['empty', 'EWINDOW', 'has 0 bytes'],
    ['511', 'EWINDOW', 'has 511 bytes'],
  ] as const) {
    it(`${name.slice(0, 20)} is refused with ${code}, by name`, async () => {
      for (const writable of [true, false]) {
        const error = await refusal(request(at(name), { writable }));
        assert.equal(error.code, code, error.message);
        assert.ok(error.message.includes(at(name)), error.message);
        assert.ok(error.message.includes(words), error.message);
      }
    });
  }

  for (const [what, changes, words] of [
    ['an offset at the end', { offset: 6144n }, 'offset 6144'],
    ['an offset beyond the end', { offset: 1n << 62n }, `offset ${1n << 62n}`],
    ['a size beyond the end', { size: 6656n }, 'size 6656'],
    ['a window beyond the end', { offset: 4096n, size: 4096n }, 'offset 4096 and size 4096'],
    ['a rest of less than one block', { offset: 4096n, blockSize: 4096 }, '4096'],
    ['blocks that do not come out even', { blockSize: 4096 }, 'multiple of the block size 4096'],
  ] as const) {
    it(`${what} is refused with EWINDOW`, async () => {
      const error = await refusal(request(at('6k'), changes));
      assert.equal(error.code, 'EWINDOW');
      assert.ok(error.message.includes(words) && error.message.includes('6144'), error.message);
    });
  }

  it('a file with a diskseq, which only a block device has', async () => {
    const error = await refusal(
      request(makeImage(shop.directory, { marker: 'x' }), { diskseq: 5n }),
    );
    assert.equal(error.code, 'EIDENTITY');
    assert.match(error.message, /diskseq=5/);
  });
});

describe('A file that cannot be written', () => {
  const shop = fixture();
  const wanted = { name: 'BlockError', code: 'EREADONLY', message: /mode w.*\((open|.*E[A-Z]+\))/ };

  async function isReadableOnly(path: string): Promise<void> {
    await assert.rejects(openExport(request(path)), wanted);
    await using device = await openExport(request(path, { writable: false }));
    assert.equal(device.ownLoop, true);
  }

  it('is exported for reading only: on a read-only file system', async () => {
    await using mount = await mountNew('tmpfs', shop.directory);
    const image = makeImage(mount.directory, { marker: 'x' });
    await run('mount', ['-o', 'remount,ro', mount.directory]);
    await isReadableOnly(image);
  });

  it('is exported for reading only: a program that is running', async () => {
    const program = join(shop.directory, 'program');
    copyFileSync('/bin/sleep', program);
    const running = spawn(program, ['60'], { stdio: 'ignore' });
    await once(running, 'spawn');
    try {
      await isReadableOnly(program);
    } finally {
      running.kill('SIGKILL');
      await once(running, 'exit');
    }
  });

  it('is exported for reading only: an immutable one', async function () {
    const image = makeImage(shop.directory, { marker: 'x' });
    try {
      await run('chattr', ['+i', image]);
    } catch (error) {
      skipByName(this, `chattr +i does not work: ${String(error)}`);
    }
    try {
      // The file is not read-only, so the message gives the kernel's own reason.
      const wanted = { name: 'BlockError', code: 'EPERM', message: /not permitted.*immutable/ };
      await assert.rejects(openExport(request(image)), wanted);
      await using device = await openExport(request(image, { writable: false }));
      assert.equal(device.ownLoop, true);
    } finally {
      await run('chattr', ['-i', image]);
    }
  });
});
