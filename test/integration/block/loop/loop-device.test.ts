import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, statSync, symlinkSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { openExport } from '../../../../src/block/open-export.js';
import { getBlockSize, getSize, isReadOnly } from '../../../../src/linux/block-ioctl.js';
import { fcntlWordSync } from '../../../../src/linux/calls.js';
import { O_RDONLY, O_RDWR, OwnedFd } from '../../../../src/linux/fd.js';
import { devnumOf, loopsOf, makeImage } from '../../../bed/images.js';
import { attribute, fixture, loopsLeft, mountNew, request, run, textAt } from '../fixture.js';

describe('A file that is exported', () => {
  const shop = fixture();

  it('becomes a loop device that is gone with the last close', async () => {
    const image = makeImage(shop.directory, { marker: 'first bytes' });
    await using device = await openExport(request(image));
    assert.equal(device.ownLoop, true);
    assert.deepEqual(loopsOf(shop.directory), [device.path]);
    assert.equal(attribute(device.path, 'loop/autoclear'), '1');
    assert.equal(textAt(device, 0, 11), 'first bytes');
    await using other = await device.fd.reopen(O_RDONLY);
    await device.close();
    await device.close();
    assert.deepEqual(loopsOf(shop.directory), [device.path]);
    await other.close();
    assert.deepEqual(await loopsLeft(shop.directory), []);
  });

  it('is identified by number, diskseq and backing file', async () => {
    const image = makeImage(shop.directory, { marker: 'x' });
    await using device = await openExport(request(image));
    const { devnum, diskseq, partition, loop } = device.identity;
    const file = statSync(image, { bigint: true });
    assert.equal(`${devnum.major}:${devnum.minor.toString(16)}`, devnumOf(device.path));
    assert.equal(String(diskseq), attribute(device.path, 'diskseq'));
    assert.equal(partition, undefined);
    assert.deepEqual(loop, {
      device: file.dev,
      inode: file.ino,
      rdevice: 0n,
      offset: 0n,
      sizeLimit: 0n,
      number: devnum.minor,
      flags: 4,
    });
    await device.verify();
  });

  /** Takes a lease of an image. The lease also ends with the descriptor. */
  async function leaseOf(image: string) {
    const [SIGURG, F_RDLCK, F_UNLCK] = [23, 0, 2];
    const file = await OwnedFd.open(image, O_RDONLY);
    const set = (name: string, number: number, argument: number): void =>
      fcntlWordSync(file.fd, { name, number }, argument, image);
    set('F_SETSIG', 10, SIGURG);
    set('F_SETLEASE', 1024, F_RDLCK);
    return { file, giveBack: () => set('F_SETLEASE', 1024, F_UNLCK) };
  }

  it('is waited for while somebody has a lease of it', async () => {
    const image = makeImage(shop.directory, { marker: 'x' });
    const { file, giveBack } = await leaseOf(image);
    await using _file = file;
    let returned = false;
    setTimeout(() => {
      returned = true;
      giveBack();
    }, 100);
    await using device = await openExport(request(image));
    assert.ok(returned);
    assert.equal(textAt(device, 0, 1), 'x');
  });

  it('is refused if somebody keeps a lease of it, in a sentence that says so', async () => {
    const image = makeImage(shop.directory, { marker: 'x' });
    await using _file = (await leaseOf(image)).file;
    await assert.rejects(openExport(request(image)), {
      code: 'EAGAIN',
      message: /^\S+\.img has a lease on it .*not given back in time: end its use there/,
    });
    assert.deepEqual(await loopsLeft(shop.directory), []);
  });

  it('has another diskseq each time', async () => {
    const image = makeImage(shop.directory, { marker: 'x' });
    const numbers = new Set<bigint>();
    for (let round = 0; round < 5; round++) {
      await using device = await openExport(request(image));
      numbers.add(device.identity.diskseq);
    }
    assert.equal(numbers.size, 5);
  });

  it('can be written through the device, and reads as it was written', async () => {
    const image = makeImage(shop.directory, { marker: 'before' });
    await using device = await openExport(request(image));
    // blkback opens the device for writing too. The descriptor that is held here can only read.
    await using writer = await OwnedFd.open(device.path, O_RDWR);
    writeSync(writer.fd, Buffer.alloc(512, 'w'), 0, 512, 512);
    assert.throws(() => writeSync(device.fd.fd, 'x'), { code: 'EBADF' });
    await writer.close();
    await device.close();
    const content = readFileSync(image);
    assert.equal(content.subarray(0, 6).toString(), 'before');
    assert.equal(content.subarray(512, 1024).toString(), 'w'.repeat(512));
  });

  it('can be written although its number was set read-only for a file that it had before', async () => {
    const image = makeImage(shop.directory, { marker: 'x' });
    const spare = await openExport(request(image));
    execFileSync('blockdev', ['--setro', spare.path]);
    await spare.close();
    assert.deepEqual(await loopsLeft(shop.directory), []);
    await using device = await openExport(request(image));
    assert.equal(await isReadOnly(device.fd), false);
    execFileSync('blockdev', ['--setrw', spare.path]);
  });

  it('cannot be written where reading only is asked for', async () => {
    const image = makeImage(shop.directory, { marker: 'kept' });
    await using device = await openExport(request(image, { writable: false }));
    assert.equal(attribute(device.path, 'ro'), '1');
    assert.equal(await isReadOnly(device.fd), true);
    assert.equal(textAt(device, 0, 4), 'kept');
    await using writer = await OwnedFd.open(device.path, O_RDWR);
    assert.throws(() => writeSync(writer.fd, Buffer.alloc(512)), { code: 'EPERM' });
    const wanted = { code: 'EREADONLY', message: /mode w/ };
    await assert.rejects(openExport(request(device.path)), wanted);
  });

  it('shows its part of the file only: offset and size', async () => {
    const image = join(shop.directory, 'window.img');
    writeFileSync(image, Buffer.concat(['a', 'b', 'c', 'd'].map((c) => Buffer.alloc(1024, c))));
    for (const [offset, size, expected] of [
      [0n, undefined, 'a'.repeat(1024) + 'b'.repeat(1024) + 'c'.repeat(1024) + 'd'.repeat(1024)],
      [1024n, undefined, 'b'.repeat(1024) + 'c'.repeat(1024) + 'd'.repeat(1024)],
      [1024n, 1024n, 'b'.repeat(1024)],
      [512n, 1024n, 'a'.repeat(512) + 'b'.repeat(512)],
      [3584n, 512n, 'd'.repeat(512)],
    ] as const) {
      await using device = await openExport(request(image, { offset, size }));
      assert.equal(await getSize(device.fd), BigInt(expected.length));
      assert.equal(textAt(device, 0, expected.length), expected);
    }
  });

  it('has the block size that is asked for', async () => {
    const image = makeImage(shop.directory, { marker: 'x' });
    for (const blockSize of [512, 1024, 2048, 4096]) {
      await using device = await openExport(request(image, { blockSize }));
      assert.equal(await getBlockSize(device.fd), blockSize);
    }
  });

  it('loses what does not fill a sector at its end', async () => {
    const image = makeImage(shop.directory, { marker: 'x', size: 2000 });
    await using device = await openExport(request(image));
    assert.equal(await getSize(device.fd), 1536n);
  });

  it('is shown to people under the name that was given', async () => {
    const image = makeImage(shop.directory, { marker: 'x', name: 'näme with spaces' });
    const link = join(shop.directory, 'link');
    symlinkSync(image, link);
    await using device = await openExport(request(link));
    const { stdout } = await run('losetup', [
      '--list',
      '--noheadings',
      '--output',
      'BACK-FILE',
      device.path,
    ]);
    assert.equal(stdout.trim(), image);
    assert.match((await run('losetup', [device.path])).stdout, /näme with spaces/);
  });

  it('can be exported twice: two devices over one file', async () => {
    const image = makeImage(shop.directory, { marker: 'both' });
    await using first = await openExport(request(image, { writable: false }));
    await using second = await openExport(request(image, { writable: false }));
    assert.notEqual(first.path, second.path);
    assert.equal(textAt(second, 0, 4), textAt(first, 0, 4));
  });
});

describe('Direct I/O of a file that is exported', () => {
  const shop = fixture();

  it('is off by default', async () => {
    await using device = await openExport(request(makeImage(shop.directory, { marker: 'x' })));
    assert.equal(attribute(device.path, 'loop/dio'), '0');
  });

  // ramfs has no direct I/O on any kernel, so `auto` must do without it and `yes` must fail.
  it('is done without by auto where the file system has none, and fails with yes', async () => {
    await using mount = await mountNew('ramfs', shop.directory);
    const image = makeImage(mount.directory, { marker: 'x' });
    {
      await using device = await openExport(request(image, { directIo: 'auto' }));
      assert.equal(attribute(device.path, 'loop/dio'), '0');
    }
    await assert.rejects(openExport(request(image, { directIo: 'yes' })), {
      name: 'BlockError',
      code: 'EOPNOTSUPP',
      message: /direct-io=auto/,
    });
    assert.deepEqual(await loopsLeft(shop.directory), []);
  });

  for (const type of [undefined, 'tmpfs'] as const) {
    it(`is on with yes on ${type ?? 'the disk'} exactly where auto takes it`, async () => {
      await using mount = type && (await mountNew(type, shop.directory));
      const image = makeImage(mount?.directory ?? shop.directory, { marker: 'x' });
      const auto = await openExport(request(image, { directIo: 'auto', blockSize: 4096 }));
      const possible = attribute(auto.path, 'loop/dio') === '1';
      await auto.close();
      const opened = openExport(request(image, { directIo: 'yes', blockSize: 4096 }));
      if (!possible) return assert.rejects(opened, { code: 'EOPNOTSUPP' });
      await using device = await opened;
      assert.equal(attribute(device.path, 'loop/dio'), '1');
      assert.equal(textAt(device, 0, 1), 'x');
    });
  }
});
