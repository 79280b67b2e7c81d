import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openExport } from '../../../src/block/open-export.js';
import { getSize } from '../../../src/linux/block-ioctl.js';
import { formatDevnumHex } from '../../../src/linux/devnum.js';
import { parseTarget } from '../../../src/target/target.js';
import { attachLoop, devnumOf, type Loop } from '../../bed/images.js';
import { fixture, request, run, textAt } from './fixture.js';
import { setLoopWindow } from './loop/loop-changes.js';

// The partitions are made one by one (BLKPG), which works without support for any partition table.
describe('A partition that is exported', () => {
  let loop: Loop;

  beforeEach(async () => {
    const image = join(shop.directory, 'disk.img');
    writeFileSync(image, Buffer.concat(['0', '1', '2', '3'].map((c) => Buffer.alloc(65536, c))));
    loop = await attachLoop(image);
    await run('addpart', [loop.path, '1', '128', '128']);
    await run('addpart', [loop.path, '12', '256', '128']);
  });
  afterEach(async () => {
    for (const number of ['1', '12']) await run('delpart', [loop.path, number]);
    await loop.detach();
  });
  // The fixture comes last, because its own hook looks for devices that the hooks above have left
  // behind.
  const shop = fixture();

  for (const [partition, marker] of [
    [1, '1'],
    [12, '2'],
  ] as const) {
    it(`is found by the diskseq of its disk and its number, ${partition}`, async () => {
      const locator = { diskseq: BigInt(loop.diskseq), partition };
      await using device = await openExport(request(locator));
      assert.equal(device.path, `${loop.path}p${partition}`);
      assert.equal(device.identity.partition?.number, partition);
      assert.equal(String(device.identity.diskseq), loop.diskseq);
      assert.equal(formatDevnumHex(device.identity.devnum), devnumOf(device.path));
      assert.equal(await getSize(device.fd), 65536n);
      assert.equal(textAt(device, 0, 65536), marker.repeat(65536));
      await device.verify();
    });
  }

  it('is found by a /dev/disk/by-diskseq/…-part path without udev', async () => {
    const text = `/dev/disk/by-diskseq/${loop.diskseq}-part12`;
    const { locator } = parseTarget(Buffer.from(text));
    assert.ok(locator.by === 'diskseq');
    await using device = await openExport(request(locator));
    assert.equal(device.path, `${loop.path}p12`);
  });

  it('is opened by path, and compared with the diskseq of its disk', async () => {
    const path = `${loop.path}p1`;
    const diskseq = BigInt(loop.diskseq);
    await (await openExport(request(path, { diskseq }))).close();
    await assert.rejects(openExport(request(path, { diskseq: diskseq + 1n })), {
      code: 'EIDENTITY',
    });
  });

  it('is not found by a number that the disk does not have', async () => {
    for (const partition of [2, 11, 121]) {
      const locator = { diskseq: BigInt(loop.diskseq), partition };
      await assert.rejects(openExport(request(locator)), {
        name: 'BlockError',
        code: 'ENOENT',
        message: `the disk with diskseq ${loop.diskseq} has no partition ${partition}`,
      });
    }
  });

  it('is not proven once the window of the loop device below it has moved', async () => {
    const locator = { diskseq: BigInt(loop.diskseq), partition: 1 };
    await using device = await openExport(request(locator));
    await setLoopWindow(loop.path, { offset: 65536n });
    assert.equal(textAt(device, 0, 1), '2');
    await assert.rejects(device.verify(), { code: 'EIDENTITY' });
  });
});
