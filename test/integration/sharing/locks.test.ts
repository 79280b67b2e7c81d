import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { statSync } from 'node:fs';
import { lockStorage } from '../../../src/sharing/storage-locks.js';
import { storageKey } from '../../../src/topology/extent.js';
import { failure } from '../../bed/assertions.js';
import { needs } from '../../bed/needs.js';
import { built, projectRoot, temporaryDirectory } from '../../bed/paths.js';
import { type HotplugFixture, on } from '../hotplug/fixture.js';

/** The speed does not matter here. */
const PATIENT = { timeoutMs: 30_000 };

describe('The lock of the storages', function () {
  this.timeout(60_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  const keyOf = (file: string): string => {
    const { dev, ino } = statSync(file, { bigint: true });
    return storageKey({ kind: 'file', device: dev, inode: ino });
  };
  const lock = (fixture: HotplugFixture, exclusive: boolean, ...files: string[]) =>
    lockStorage(
      fixture.bed.runDirectory,
      files.map((file) => ({ key: keyOf(file), exclusive })),
      AbortSignal.timeout(5000),
    );

  it(
    'makes an add of the same bytes wait, and says so at the deadline; one of others does not wait',
    on({}, async (fixture) => {
      const [image, other] = [fixture.image(), fixture.image()];
      await using _held = await lock(fixture, false, image);
      const free = await fixture.vbd(other);
      await fixture.attach(free, PATIENT);
      const vbd = await fixture.vbd(image);
      const error = await failure('ETIMEDOUT', fixture.attach(vbd, { timeoutMs: 700 }));
      assert.match(error.message, /waiting for other adds of the same bytes$/);
      await fixture.delete(free);
      await fixture.assertTakenBack(vbd, error);
    }),
  );

  it(
    'lets readers go beside each other, and an add go on as soon as it is free',
    on({}, async (fixture) => {
      const image = fixture.image();
      const held = await lock(fixture, false, image);
      const reader = await fixture.vbd(image, { mode: 'r' });
      await fixture.attach(reader, PATIENT);
      await fixture.delete(reader);
      const writer = await fixture.vbd(image);
      const attached = fixture.attach(writer, PATIENT);
      await held[Symbol.asyncDispose]();
      await attached;
    }),
  );

  it(
    'is not asked for by a vbd that tolerates everything',
    on({}, async (fixture) => {
      const image = fixture.image();
      await using _held = await lock(fixture, true, image);
      const vbd = await fixture.vbd(image, { mode: 'w!' });
      await fixture.attach(vbd, PATIENT);
    }),
  );

  it('ends with a process that is killed while it holds it', async () => {
    const directory = temporaryDirectory();
    const holder = spawn(process.execPath, [
      '--input-type=module',
      '--eval',
      `const { lockStorage } = await import('${projectRoot}dist/src/sharing/storage-locks.js');
       await lockStorage('${directory}', [{ key: 'a base', exclusive: true }], AbortSignal.timeout(5000));
       console.log('locked');
       setInterval(() => {}, 1000);`,
    ]);
    await new Promise((resolve) => holder.stdout.once('data', resolve));
    const signal = AbortSignal.timeout(200);
    await assert.rejects(lockStorage(directory, [{ key: 'a base', exclusive: false }], signal), {
      name: 'TimeoutError',
    });
    holder.kill('SIGKILL');
    await using _lock = await lockStorage(
      directory,
      [{ key: 'a base', exclusive: true }],
      AbortSignal.timeout(5000),
    );
  });

  it('does not deadlock when two want the same storages in two orders', async () => {
    const directory = temporaryDirectory();
    const take = async (...keys: string[]) => {
      const locks = keys.map((key) => ({ key, exclusive: true }));
      await using _lock = await lockStorage(directory, locks, AbortSignal.timeout(5000));
    };
    const rounds = Array.from({ length: 50 }, (_, round) =>
      round % 2 === 0 ? take('a', 'b', 'c') : take('c', 'b', 'a'),
    );
    await Promise.all(rounds);
  });

  it('names the file where there is none to lock', async () => {
    const directory = built('blkback');
    const signal = AbortSignal.timeout(5000);
    await assert.rejects(lockStorage(directory, [{ key: 'a', exclusive: true }], signal), {
      code: 'ELOCK',
      message: /blkback\/sharing\.lock: .*not a directory/,
    });
  });
});
