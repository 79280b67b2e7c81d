import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { collectDetachment } from '../../../src/hotplug/detachment.js';
import { formatDevnumHex } from '../../../src/linux/devnum.js';
import { attachLoop } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { withReads } from '../../store/with-reads.js';
import { on, parse } from './fixture.js';

describe('What a detach finds of an instance', () => {
  let sysfs: string;
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });
  beforeEach(() => {
    sysfs = mkdtempSync('/dev/shm/xen-sysfs-');
  });
  afterEach(() => rmSync(sysfs, { recursive: true }));

  it(
    'includes the device that blkback had open, also where the instance ends during the look',
    on({ noOpen: true }, async (fixture) => {
      const image = fixture.image();
      await using loop = await attachLoop(image);
      // The target has another name than the backing file, so the look waits for both inodes.
      const link = `${image}.link`;
      symlinkSync(image, link);
      const nodes = { 'physical-device': loop.devnum };
      const vbd = parse(await fixture.vbd(link, { extra: nodes }));
      const directory = join(sysfs, 'bus/xen-backend/devices', vbd.sysfsName);
      mkdirSync(directory, { recursive: true });
      writeFileSync(join(directory, 'physical_device'), `${loop.devnum}\n`);
      const ending = withReads(fixture.store, async (read) => {
        const values = await read();
        setImmediate(() => rmSync(directory, { recursive: true }));
        return values;
      });
      const found = await collectDetachment(ending, vbd, { sysfs, runDirectory: sysfs }, {});
      await found.directory?.[Symbol.asyncDispose]();
      assert.ok(found.loop, 'the loop device that was made for the vbd');
      assert.ok(found.directory, 'the instance that was there when the look began');
      assert.equal(found.open && formatDevnumHex(found.open), loop.devnum);
    }),
  );
});
