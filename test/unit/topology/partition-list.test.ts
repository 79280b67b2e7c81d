import assert from 'node:assert/strict';
import { parseLoops } from '../../../src/topology/partition-list.js';

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
