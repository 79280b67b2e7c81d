import assert from 'node:assert/strict';
import { type DeviceIdentity, identityDifference } from '../../../src/block/identity.js';
import { openExport } from '../../../src/block/open-export.js';
import { setAutoclear } from '../../../src/linux/loop-ioctl.js';
import type { MapperTarget } from '../../../src/linux/mapper-state.js';
import { attachLoop, makeImage } from '../../bed/images.js';
import { attribute, fixture, request, run, textAt } from './fixture.js';
import { changeLoopFile, setLoopWindow } from './loop/loop-changes.js';

describe('BlockDevice.verify', () => {
  const shop = fixture();

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
      // `loop.detach` would leave the device alone, because it has another diskseq now.
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

  describe('of two tables', () => {
    const A = { start: 0n, length: 100n, type: 'linear', params: '7:0 0' };
    const B = { start: 100n, length: 50n, type: 'linear', params: '7:1 0' };
    const withTable = (...targets: MapperTarget[]): DeviceIdentity => ({
      ...disk,
      loop: undefined,
      mapper: {
        devnum: disk.devnum,
        name: 'x',
        uuid: '',
        openCount: 1,
        live: true,
        suspended: false,
        readOnly: false,
        deferredRemove: false,
        targets,
      },
    });

    for (const [what, one, other] of [
      ['the last line is longer', [A], [{ ...A, length: 200n }]],
      ['the last of two lines is longer', [A, B], [A, { ...B, length: 51n }]],
      ['there is a line more', [A], [A, B]],
      ['there is a line more, and the last one was longer', [A], [A, B, { ...B, start: 150n }]],
    ] as const) {
      it(`is none where ${what}, or the other way round: it is the same device of another size`, () => {
        assert.equal(identityDifference(withTable(...one), withTable(...other)), undefined);
        assert.equal(identityDifference(withTable(...other), withTable(...one)), undefined);
      });
    }

    for (const [what, one, other] of [
      ['another device below', [A], [{ ...A, length: 200n, params: '7:2 0' }]],
      ['another place below', [A, B], [A, { ...B, params: '7:1 8' }]],
      ['another kind', [A], [{ ...A, length: 200n, type: 'error', params: '' }]],
      ['other bytes in the middle', [{ ...A, length: 150n }], [A, B]],
      ['no table', [A], []],
    ] as const) {
      it(`is one where there is ${what}`, () => {
        const [a, b] = [withTable(...one), withTable(...other)];
        assert.match(identityDifference(a, b) ?? '', /^mapper table/);
        assert.match(identityDifference(b, a) ?? '', /^mapper table/);
      });
    }
  });
});
