import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { failure } from '../../bed/assertions.js';
import { attachLoop } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { projectRoot } from '../../bed/paths.js';
import { on } from '../hotplug/fixture.js';

/**
 * The bytes that QEMU locks: one for each thing that it may do, and for each that others may not
 * (file-posix.c).
 */
const QEMU = { w: [100, 101, 103, 201, 203], r: [100, 201, 203] } as const;

/** Starts a program that has an image open and locks these bytes of it. */
async function openImage(
  path: string,
  bytes: readonly number[],
  exclusive = false,
  ...args: string[]
): Promise<AsyncDisposable> {
  const program = `
    import { OwnedFd } from './dist/src/linux/fd.js';
    import { tryLockByte } from './dist/src/linux/range-lock.js';
    const image = OwnedFd.openSync('${path}', 2);
    for (const byte of [${bytes}]) tryLockByte(image, BigInt(byte), ${exclusive});
    console.log('locked');
    setInterval(() => image.fd, 1000);`;
  const options = ['--input-type=module', '--eval', program, '--', ...args];
  const child: ChildProcess = spawn(process.execPath, options, {
    cwd: projectRoot,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (child.stdout) await once(child.stdout, 'data');
  const closed = once(child, 'close');
  return {
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL');
      await closed;
    },
  };
}

describe('A disk image that another program has open', function () {
  this.timeout(60_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  it(
    'is busy as QEMU has locked it, also below a loop device',
    on({}, async (fixture) => {
      const image = fixture.image();
      await using loop = await attachLoop(image);
      const targets = [image, loop.path];
      await using writer = await openImage(image, QEMU.w);
      for (const [index, target] of targets.entries()) {
        const vbd = await fixture.vbd(target, { devid: 51712 + 16 * index, mode: 'r' });
        const { message } = await failure('EBUSY', fixture.attach(vbd));
        assert.match(
          message,
          /is open read-write here in process \d+ \(\S+\), which has locked it as a disk image; so domain 7/,
        );
      }
      await writer[Symbol.asyncDispose]();
      await using _reader = await openImage(image, QEMU.r);
      const reader = await fixture.vbd(image, { devid: 51744, mode: 'r' });
      await fixture.attach(reader);
      await fixture.delete(reader);
      const wanted = await fixture.vbd(image, { devid: 51760 });
      assert.match((await failure('EBUSY', fixture.attach(wanted))).message, /open read-only here/);
    }),
  );

  it(
    'is busy as cloud-hypervisor has locked it, and free for the guest whose device model has it',
    on({}, async (fixture) => {
      const image = fixture.image();
      await using hypervisor = await openImage(image, [0], true);
      const vbd = await fixture.vbd(image);
      assert.match((await failure('EBUSY', fixture.attach(vbd))).message, /open read-write here/);
      await hypervisor[Symbol.asyncDispose]();
      await using _qemu = await openImage(image, QEMU.w, false, '-xen-domid', '7', '-nographic');
      const own = await fixture.vbd(image, { devid: 51728 });
      await fixture.attach(own);
      await fixture.delete(own);
    }),
  );
});
