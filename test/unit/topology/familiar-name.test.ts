import assert from 'node:assert/strict';
import { familiarDisk, familiarMapper } from '../../../src/topology/familiar-name.js';
import { isIdleUnlessOpen } from '../../../src/topology/holder-uses.js';

describe('familiarMapper', () => {
  for (const [name, uuid, known, end] of [
    ['vg0-root', 'LVM-abc', 'vg0/root', 'lvchange --activate n vg0/root'],
    ['a--b-c--d', 'LVM-abc', 'a-b/c-d', 'lvchange --activate n a-b/c-d'],
    ['vg0-pool-tpool', 'LVM-abc-tpool', 'vg0/pool', 'lvchange --activate n vg0/pool'],
    ['mpatha1', 'part1-mpath-36001', 'mpatha1', 'dmsetup remove mpatha1'],
    ['mpatha', 'mpath-36001', 'mpatha', 'multipath -f mpatha'],
    ['home', 'CRYPT-LUKS2-1-home', 'home', 'cryptsetup close home'],
    ['mine', '', 'mine', 'dmsetup remove mine'],
    ['odd', 'LVM-abc', 'odd', 'lvchange --activate n odd'],
  ] as const) {
    it(`calls ${name} with UUID ${uuid || 'none'} ${known}, which ${end} ends`, () => {
      assert.deepEqual(familiarMapper({ name, uuid }), { name: known, end });
    });
  }
});

describe('familiarDisk', () => {
  for (const [disk, end] of [
    ['md127', 'mdadm --stop /dev/md127'],
    ['md!home', 'mdadm --stop /dev/md/home'],
    ['bcache0', 'echo 1 >/sys/block/bcache0/bcache/stop'],
  ] as const) {
    it(`knows that ${end} ends ${disk}`, () => assert.equal(familiarDisk(disk).end, end));
  }
});

describe('A mapper device that nobody has open', () => {
  const line = (type: string, params = '') => ({ start: 0n, length: 1n, type, params });

  for (const [idle, ...targets] of [
    [true, line('linear', '8:0 0'), line('error')],
    [true, line('crypt', '…')],
    [true, line('thin', '253:0 1')],
    [false, line('thin', '253:0 1 8:0')],
    [false, line('linear', '8:0 0'), line('mirror', '…')],
    [false, line('thin-pool', '…')],
    [false, line('snapshot', '…')],
    [false, line('raid', '…')],
    [false, line('something-new', '…')],
  ] as const) {
    const table = targets.map(({ type, params }) => `${type} ${params}`.trim()).join(', ');
    it(`${idle ? 'does nothing' : 'may do something'} with what lies below: ${table}`, () => {
      assert.equal(isIdleUnlessOpen({ targets }), idle);
    });
  }
});
