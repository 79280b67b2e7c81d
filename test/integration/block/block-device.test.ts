import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { openExport } from '../../../src/block/open-export.js';
import { ioctl } from '../../../src/linux/calls.js';
import { formatDevnumHex } from '../../../src/linux/devnum.js';
import { O_RDWR, OwnedFd } from '../../../src/linux/fd.js';
import { parseTarget } from '../../../src/target/target.js';
import { attachLoop, devnumOf, loopsOf, makeImage } from '../../bed/images.js';
import { fixture, request, textAt } from './fixture.js';

const LOOP_CTL_ADD = { name: 'LOOP_CTL_ADD', number: 0x4c80 };
const LOOP_CTL_REMOVE = { name: 'LOOP_CTL_REMOVE', number: 0x4c81 };
/** A number so high that a process which takes the lowest free number does not get it. */
const UNBOUND = 4711;

describe('A block device that is exported', () => {
  const shop = fixture();

  it('is opened as it is, whatever made it, and is identified', async () => {
    const image = makeImage(shop.directory, { marker: 'theirs' });
    await using loop = await attachLoop(image, { offset: 0 });
    await using device = await openExport(request(loop.path));
    assert.equal(device.ownLoop, false);
    assert.equal(device.path, loop.path);
    assert.equal(formatDevnumHex(device.identity.devnum), devnumOf(loop.path));
    assert.equal(String(device.identity.diskseq), loop.diskseq);
    assert.equal(device.identity.partition, undefined);
    assert.equal(device.identity.loop?.inode, statSync(image, { bigint: true }).ino);
    assert.equal(textAt(device, 0, 6), 'theirs');
    await device.verify();
    await device.close();
    assert.deepEqual(loopsOf(shop.directory), [loop.path]);
  });

  it('is opened where its diskseq is the one that is asked for, and not otherwise', async () => {
    await using loop = await attachLoop(makeImage(shop.directory, { marker: 'x' }));
    const diskseq = BigInt(loop.diskseq);
    await (await openExport(request(loop.path, { diskseq }))).close();
    for (const other of [diskseq - 1n, diskseq + 1n, diskseq + (1n << 32n)]) {
      await assert.rejects(openExport(request(loop.path, { diskseq: other })), {
        name: 'BlockError',
        code: 'EIDENTITY',
        message: new RegExp(`${loop.path} .*diskseq ${other} was expected, ${diskseq} found`),
      });
    }
  });

  it('is found by its diskseq alone, until it is another disk', async () => {
    const image = makeImage(shop.directory, { marker: 'by number' });
    const loop = await attachLoop(image);
    const locator = { diskseq: BigInt(loop.diskseq) };
    {
      await using device = await openExport(request(locator));
      assert.equal(device.path, loop.path);
      assert.equal(textAt(device, 0, 9), 'by number');
    }
    await loop.detach();
    await using _ = await attachLoop(image);
    await assert.rejects(openExport(request(locator)), {
      code: 'ENOENT',
      message: `no disk has the sequence number (diskseq) ${loop.diskseq}`,
    });
  });

  it('is found by a /dev/disk/by-diskseq path where udev has not made that link', async () => {
    await using loop = await attachLoop(makeImage(shop.directory, { marker: 'x' }));
    const path = `/dev/disk/by-diskseq/${loop.diskseq}`;
    assert.equal(statSync(path, { throwIfNoEntry: false }), undefined);
    const { locator } = parseTarget(Buffer.from(path));
    assert.ok(locator.by === 'diskseq');
    await using device = await openExport(request(locator));
    assert.equal(device.path, loop.path);
  });

  it('is refused for writing where it is read-only', async () => {
    await using loop = await attachLoop(makeImage(shop.directory, { marker: 'x' }), {
      readOnly: true,
    });
    await assert.rejects(openExport(request(loop.path)), {
      code: 'EREADONLY',
      message: new RegExp(`${loop.path} is read-only`),
    });
    await using device = await openExport(request(loop.path, { writable: false }));
    assert.equal(device.path, loop.path);
  });

  it('is refused with settings that only mean something for a file, by their names', async () => {
    await using loop = await attachLoop(makeImage(shop.directory, { marker: 'x' }));
    const asked = request(loop.path, { fileOnly: ['offset', 'autoclear'] });
    await assert.rejects(openExport(asked), {
      code: 'ENOTDISK',
      message: /offset, autoclear can only be set for a file/,
    });
  });

  it('is refused where it is a loop device without a file', async () => {
    await using control = await OwnedFd.open('/dev/loop-control', O_RDWR);
    await ioctl(control.fd, LOOP_CTL_ADD, UNBOUND, 'loop-control');
    try {
      for (const writable of [true, false]) {
        await assert.rejects(openExport(request(`/dev/loop${UNBOUND}`, { writable })), {
          name: 'BlockError',
          code: 'ENXIO',
          message: `/dev/loop${UNBOUND} is a loop device without a backing file`,
        });
      }
    } finally {
      await ioctl(control.fd, LOOP_CTL_REMOVE, UNBOUND, 'loop-control');
    }
  });
});
