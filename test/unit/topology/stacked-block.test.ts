import assert from 'node:assert/strict';
import { isStackablePath, parseLoops } from '../../../src/topology/stacked-block.js';

const PARTITIONS = `major minor  #blocks  name

   7        0       1024 loop0
   7       12       4096 loop12
 259        0         50 loop12p1
   8        0  488386584 sda
 254        3       1024 dm-3
`;

describe('parseLoops', () => {
  it('finds the loop devices in the list of devices, and not their partitions', () => {
    assert.deepEqual(
      [...parseLoops(PARTITIONS).values()],
      [
        { major: 7, minor: 0 },
        { major: 7, minor: 12 },
      ],
    );
    assert.equal(parseLoops('').size, 0);
  });
});

describe('isStackablePath', () => {
  it('is true for disks without hardware of their own, but for loop devices', () => {
    assert.ok(isStackablePath('../devices/virtual/block/dm-3'));
    assert.ok(isStackablePath('/devices/virtual/block/md127'));
    assert.ok(!isStackablePath('/devices/virtual/block/loop3'));
    assert.ok(!isStackablePath('/devices/pci0000:00/0000:00:1f.2/ata1/host0/block/sda'));
  });
});
