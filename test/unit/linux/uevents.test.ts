import assert from 'node:assert/strict';
import { parseUevent } from '../../../src/linux/uevents.js';

const message = (...lines: string[]): string => lines.map((line) => `${line}\0`).join('');

const CHANGE = [
  'change@/devices/virtual/block/loop3',
  'ACTION=change',
  'DEVPATH=/devices/virtual/block/loop3',
  'SUBSYSTEM=block',
  'MAJOR=7',
  'MINOR=3',
  'DEVNAME=loop3',
  'DEVTYPE=disk',
  'DISKSEQ=14',
  'SEQNUM=1234',
];

describe('parseUevent', () => {
  it('reads what has happened to which device', () => {
    assert.deepEqual(parseUevent(message(...CHANGE)), {
      action: 'change',
      devpath: '/devices/virtual/block/loop3',
      devnum: { major: 7, minor: 3 },
      isPartition: false,
    });
  });

  it('tells partitions from disks', () => {
    const lines = CHANGE.map((line) => line.replace('DEVTYPE=disk', 'DEVTYPE=partition'));
    assert.equal(parseUevent(message(...lines))?.isPartition, true);
  });

  it('takes an event that somebody asked the kernel to send again for none', () => {
    assert.equal(parseUevent(message(...CHANGE, 'SYNTH_UUID=0')), undefined);
  });

  it('takes an event of another subsystem for none', () => {
    const lines = CHANGE.map((line) => line.replace('SUBSYSTEM=block', 'SUBSYSTEM=bdi'));
    assert.equal(parseUevent(message(...lines)), undefined);
  });

  it('takes an event without a device number for none', () => {
    const lines = CHANGE.filter((line) => !line.startsWith('MINOR='));
    assert.equal(parseUevent(message(...lines)), undefined);
    assert.equal(parseUevent(''), undefined);
  });
});
