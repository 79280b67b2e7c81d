import assert from 'node:assert/strict';
import { failure } from '../../bed/assertions.js';
import { needs } from '../../bed/needs.js';
import { MARKER } from '../hotplug/fixture.js';
import { withMapper } from '../mapper/bench.js';
import { openImage, QEMU } from './locked-images.js';

describe('A mapper device that QEMU has locked', function () {
  this.timeout(90_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored', 'mapper');
  });

  it(
    'is busy, by whatever node QEMU has opened it, and free for the guest of that QEMU',
    withMapper({}, async (fixture, bench) => {
      const disk = await bench.linear(MARKER);
      // There may be no udev here. The node in /dev/mapper is then none of the kernel's.
      for (const node of [disk.path, disk.kernelPath]) {
        await using qemu = await openImage(node, QEMU.w);
        const wanted = await fixture.vbd(disk.path);
        const { message } = await failure('EBUSY', fixture.attach(wanted));
        assert.match(
          message,
          /is open read-write here in process .*locked it as a disk image/,
          node,
        );
        await fixture.delete(wanted);
        await qemu[Symbol.asyncDispose]();
        await using _own = await openImage(node, QEMU.w, false, '-xen-domid', '7', '-nographic');
        const own = await fixture.vbd(disk.path);
        await fixture.attach(own);
        await fixture.delete(own);
        await fixture.detach(own);
      }
    }),
  );
});
