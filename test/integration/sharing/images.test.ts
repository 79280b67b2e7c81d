import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { constants, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { OwnedFd } from '../../../src/linux/fd.js';
import { tryLockByte } from '../../../src/linux/range-lock.js';
import { pause } from '../../../src/util/retry.js';
import { failure } from '../../bed/assertions.js';
import { attachLoop } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { type HotplugFixture, on } from '../hotplug/fixture.js';
import { openImage, QEMU } from './locked-images.js';

const run = promisify(execFile);

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

  it(
    'is free as soon as the lock goes, as that of the QEMU of a guest that reboots does',
    on({}, async (fixture) => {
      const image = fixture.image();
      await using writer = await openImage(image, QEMU.w);
      const adding = fixture.attach(await fixture.vbd(image));
      adding.catch(() => undefined);
      await pause(300);
      await writer[Symbol.asyncDispose]();
      await adding;
    }),
  );
});

describe('A block device that another program has open', function () {
  this.timeout(60_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  /** Asserts that guests cannot have these targets, because a program uses them in this way. */
  async function assertBusy(
    fixture: HotplugFixture,
    mode: 'r' | 'w',
    targets: readonly string[],
    access: string,
  ): Promise<void> {
    for (const target of targets) {
      const vbd = await fixture.vbd(target, { mode });
      const { message } = await failure('EBUSY', fixture.attach(vbd));
      assert.match(
        message,
        new RegExp(`open ${access} here in process \\d+ \\(.*locked it as a disk image`),
      );
      await fixture.delete(vbd);
    }
  }

  async function assertFree(
    fixture: HotplugFixture,
    target: string,
    mode: 'r' | 'w',
  ): Promise<void> {
    const vbd = await fixture.vbd(target, { mode });
    await fixture.attach(vbd);
    await fixture.delete(vbd);
    await fixture.detach(vbd);
  }

  it(
    'is busy as QEMU has locked its node, and so is its file',
    on({}, async (fixture) => {
      const image = fixture.image();
      await using loop = await attachLoop(image);
      const targets = [loop.path, image];
      await using writer = await openImage(loop.path, QEMU.w);
      await assertBusy(fixture, 'r', targets, 'read-write');
      await assertFree(fixture, fixture.image('other'), 'w');
      await writer[Symbol.asyncDispose]();
      await using reader = await openImage(loop.path, QEMU.r);
      await assertBusy(fixture, 'w', targets, 'read-only');
      for (const target of targets) await assertFree(fixture, target, 'r');
      await reader[Symbol.asyncDispose]();
      for (const target of targets) await assertFree(fixture, target, 'w');
    }),
  );

  it(
    'is compared by its bytes',
    on({}, async (fixture) => {
      await using loop = await attachLoop(fixture.image());
      await run('addpart', [loop.path, '1', '512', '512']);
      await run('addpart', [loop.path, '2', '1024', '512']);
      try {
        await using _qemu = await openImage(`${loop.path}p1`, QEMU.w);
        await assertBusy(fixture, 'w', [loop.path, `${loop.path}p1`], 'read-write');
        await assertFree(fixture, `${loop.path}p2`, 'w');
      } finally {
        await run('delpart', [loop.path, '1']);
        await run('delpart', [loop.path, '2']);
      }
    }),
  );

  it(
    'is found by a node of its own too, as in a container',
    on({}, async (fixture) => {
      await using loop = await attachLoop(fixture.image());
      const dev = join(fixture.bed.images, 'dev');
      mkdirSync(dev);
      await run('mount', ['-t', 'tmpfs', 'none', dev]);
      try {
        await run('mknod', [join(dev, 'disk'), 'b', ...loop.devnum.split(':')]);
        await using _qemu = await openImage(join(dev, 'disk'), QEMU.w);
        await assertBusy(fixture, 'w', [loop.path], 'read-write');
      } finally {
        await run('umount', [dev]);
      }
    }),
  );

  it(
    'is busy also if the program that has locked it cannot be seen',
    on({}, async (fixture) => {
      await using loop = await attachLoop(fixture.image());
      // The locks of this process are known by /proc/locks only, as it does not look at itself.
      await using node = OwnedFd.openSync(loop.path, constants.O_RDWR);
      for (const byte of QEMU.w) tryLockByte(node, BigInt(byte), false);
      const vbd = await fixture.vbd(loop.path);
      const { message } = await failure('EBUSY', fixture.attach(vbd));
      assert.match(message, /open read-write here in a program that cannot be seen from here/);
    }),
  );

  it(
    'is free for the guest whose device model has it, and for no other one',
    on({}, async (fixture) => {
      await using loop = await attachLoop(fixture.image());
      await using _qemu = await openImage(
        loop.path,
        QEMU.w,
        false,
        '-xen-domid',
        '7',
        '-nographic',
      );
      await assertFree(fixture, loop.path, 'w');
      const other = await fixture.vbd(loop.path, { frontend: 9 });
      await failure('EBUSY', fixture.attach(other));
    }),
  );
});
