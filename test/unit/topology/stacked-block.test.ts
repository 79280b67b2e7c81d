import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isStackablePath, StackedBlock } from '../../../src/topology/stacked-block.js';

describe('isStackablePath', () => {
  it('is true for disks without hardware of their own, but for loop devices', () => {
    assert.ok(isStackablePath('../devices/virtual/block/dm-3'));
    assert.ok(isStackablePath('/devices/virtual/block/md127'));
    assert.ok(!isStackablePath('/devices/virtual/block/loop3'));
    assert.ok(!isStackablePath('/devices/pci0000:00/0000:00:1f.2/ata1/host0/block/sda'));
  });
});

describe('The name that a disk gives itself', () => {
  it('is also that of an NVMe disk of the network, which the kernel counts as virtual', () => {
    const root = mkdtempSync('/dev/shm/xen-sysfs-');
    try {
      const directory = join(root, 'devices/virtual/nvme-fabrics/ctl/nvme0/nvme0n1');
      mkdirSync(directory, { recursive: true });
      const disk = new StackedBlock({ major: 259, minor: 0 }, directory);
      writeFileSync(join(directory, 'wwid'), 'eui.0025385b71b0a1f1\n');
      assert.equal(disk.wwid, 'eui.0025385b71b0a1f1');
    } finally {
      rmSync(root, { recursive: true });
    }
  });
});
