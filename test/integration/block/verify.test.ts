import assert from 'node:assert/strict';
import { type DeviceIdentity, identityDifference } from '../../../src/block/identity.js';
import { openExport } from '../../../src/block/open-export.js';
import { setAutoclear } from '../../../src/linux/loop-ioctl.js';
import { attachLoop, makeImage } from '../../bed/images.js';
import { changeLoopFile, setLoopWindow } from './loop/loop-changes.js';
import { attribute, request, run, textAt, workshop } from './workshop.js';

describe('BlockDevice.verify', () => {
  const shop = workshop();

  for (const [what, window, words] of [
    ['offset', { offset: 512n }, 'loop offset 0 was expected, 512 found'],
    ['size limit', { sizeLimit: 1024n }, 'loop size limit 0 was expected, 1024 found'],
  ] as const) {
    it(`notices another ${what}, which leaves the diskseq as it is`, async () => {
      await using device = await openExport(request(makeImage(shop.directory, { marker: 'x' })));
      await device.verify();
      await setLoopWindow(device.path, window);
      assert.equal(attribute(device.path, 'diskseq'), String(device.identity.diskseq));
      await assert.rejects(device.verify(), {
        name: 'BlockError',
        code: 'EIDENTITY',
        message: `${device.path} was changed while it was being attached: ${words}`,
      });
      await setLoopWindow(device.path, { offset: 0n, sizeLimit: 0n });
      await device.verify();
    });
  }

  it('notices another file below, of a loop device of ours or another’s', async () => {
    const image = makeImage(shop.directory, { marker: 'this' });
    const other = makeImage(shop.directory, { marker: 'that' });
    await using ours = await openExport(request(image, { writable: false }));
    const loop = await attachLoop(image, { readOnly: true });
    try {
      await using theirs = await openExport(request(loop.path, { writable: false }));
      for (const device of [ours, theirs]) {
        await changeLoopFile(device.path, other);
        assert.equal(textAt(device, 0, 4), 'that');
        await assert.rejects(device.verify(), { code: 'EIDENTITY' });
      }
    } finally {
      // Not `loop.detach`, which leaves a device with another diskseq alone.
      await run('losetup', ['--detach', loop.path]);
    }
  });

  it('does not mind who switches autoclear', async () => {
    await using device = await openExport(request(makeImage(shop.directory, { marker: 'x' })));
    await setAutoclear(device.fd, false);
    assert.equal(attribute(device.path, 'loop/autoclear'), '0');
    await device.verify();
    await setAutoclear(device.fd, true);
    assert.equal(attribute(device.path, 'loop/autoclear'), '1');
    await device.verify();
  });

  it('does not prove a device that is closed', async () => {
    const device = await openExport(request(makeImage(shop.directory, { marker: 'x' })));
    await device.close();
    await assert.rejects(device.verify(), { code: 'EBADF' });
  });
});

describe('identityDifference', () => {
  const loop = {
    device: 1n,
    inode: 2n,
    rdevice: 0n,
    offset: 0n,
    sizeLimit: 0n,
    number: 3,
    flags: 4,
  };
  const disk: DeviceIdentity = {
    devnum: { major: 7, minor: 3 },
    diskseq: 9n,
    partition: undefined,
    loop,
    mapper: undefined,
  };

  it('is none between two readings of the same device, nor by its flags', () => {
    assert.equal(identityDifference(disk, { ...disk }), undefined);
    assert.equal(identityDifference(disk, { ...disk, loop: { ...loop, flags: 0 } }), undefined);
  });

  for (const [change, words] of [
    [{ devnum: { major: 7, minor: 4 } }, 'device number 7:3 was expected, 7:4 found'],
    [{ diskseq: 10n }, 'diskseq 9 was expected, 10 found'],
    [
      { partition: { number: 1, start: '128', size: '64' } },
      'partition undefined was expected, 1 found',
    ],
    [{ loop: { ...loop, device: 5n } }, 'backing file (device) 1 was expected, 5 found'],
    [{ loop: { ...loop, inode: 5n } }, 'backing file (inode) 2 was expected, 5 found'],
    [{ loop: { ...loop, offset: 5n } }, 'loop offset 0 was expected, 5 found'],
    [{ loop: { ...loop, sizeLimit: 5n } }, 'loop size limit 0 was expected, 5 found'],
    [{ loop: undefined }, 'backing file (device) 1 was expected, undefined found'],
  ] as const) {
    it(`says: ${words}`, () => {
      assert.equal(identityDifference(disk, { ...disk, ...change }), words);
    });
  }
});
