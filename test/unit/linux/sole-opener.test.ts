import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { O_PATH, O_RDONLY, O_RDWR, OwnedFd } from '../../../src/linux/fd.js';
import { isSoleOpener } from '../../../src/linux/sole-opener.js';
import { needs } from '../../bed/needs.js';
import { temporaryDirectory } from '../../bed/paths.js';
import { evaluateC } from './kernel-headers.js';

describe('isSoleOpener', () => {
  /**
   * Returns a test that runs `body` with the path of a file, where the file system grants leases.
   */
  const on = (body: (path: string) => Promise<void>) =>
    async function (this: Mocha.Context): Promise<void> {
      needs(this, 'root');
      const directory = temporaryDirectory();
      try {
        const path = join(directory, 'a.img');
        writeFileSync(path, Buffer.alloc(4096));
        await body(path);
      } finally {
        rmSync(directory, { recursive: true });
      }
    };

  it(
    'holds for the only descriptor, for reading or for writing, again and again',
    on(async (path) => {
      for (const [flags, access] of [
        [O_RDONLY, 'read-only'],
        [O_RDWR, 'read-write'],
      ] as const) {
        await using file = await OwnedFd.open(path, flags);
        for (let i = 0; i < 100; i++) assert.ok(isSoleOpener(file, access));
      }
    }),
  );

  it(
    'does not hold beside another one, but for a reader beside readers',
    on(async (path) => {
      for (const [own, access, other, holds] of [
        [O_RDWR, 'read-write', O_RDONLY, false],
        [O_RDWR, 'read-write', O_RDWR, false],
        [O_RDONLY, 'read-only', O_RDWR, false],
        [O_RDONLY, 'read-only', O_RDONLY, true],
      ] as const) {
        await using file = await OwnedFd.open(path, own);
        await using _other = await OwnedFd.open(path, other);
        assert.equal(isSoleOpener(file, access), holds);
      }
    }),
  );

  it(
    'does not mind who only knows where it is, and holds again once the other has closed it',
    on(async (path) => {
      await using file = await OwnedFd.open(path, O_RDWR);
      await using _node = await OwnedFd.open(path, O_PATH);
      const other = await OwnedFd.open(path, O_RDWR);
      assert.ok(!isSoleOpener(file, 'read-write'));
      await other.close();
      assert.ok(isSoleOpener(file, 'read-write'));
    }),
  );

  it(
    'does not hold for what the kernel gives no lease of',
    on(async () => {
      await using device = await OwnedFd.open('/dev/null', O_RDWR);
      assert.ok(!isSoleOpener(device, 'read-write'));
    }),
  );

  it(
    'neither ends this process nor keeps others from the file, while it is opened all the time',
    on(async (path) => {
      const opener = spawn('sh', ['-c', 'echo; while :; do : <"$0"; done', path]);
      try {
        await once(opener.stdout, 'data');
        await using file = await OwnedFd.open(path, O_RDWR);
        const found = new Set<boolean>();
        const end = performance.now() + 5000;
        while (found.size < 2 && performance.now() < end)
          found.add(isSoleOpener(file, 'read-write'));
        assert.deepEqual([...found].sort(), [false, true]);
        assert.equal(opener.exitCode, null);
      } finally {
        opener.kill();
      }
    }),
  );

  it('has the numbers of fcntl.h', () => {
    const names = ['F_SETSIG', 'F_SETLEASE', 'F_RDLCK', 'F_WRLCK', 'F_UNLCK', 'SIGURG'];
    const values = evaluateC(['linux/fcntl.h', 'asm/signal.h'], names);
    assert.deepEqual(values, [10n, 1024n, 0n, 1n, 2n, 23n]);
  });
});
