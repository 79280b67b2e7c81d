import assert from 'node:assert/strict';
import { ioctl } from '../../../src/linux/calls.js';
import { LOOP_MAJOR } from '../../../src/linux/devnum.js';
import { O_RDWR, OwnedFd } from '../../../src/linux/fd.js';
import { isPresent } from '../../../src/topology/stacked-block.js';
import { StorageSnapshot } from '../../../src/topology/storage-snapshot.js';
import { needs } from '../../bed/needs.js';

const LOOP_CTL_ADD = { name: 'LOOP_CTL_ADD', number: 0x4c80 };
const LOOP_CTL_REMOVE = { name: 'LOOP_CTL_REMOVE', number: 0x4c81 };
/** A number so high that a process which takes the lowest free number does not get it. */
const NUMBER = 4712;

describe('A loop device that is removed while it is looked at', () => {
  before(function () {
    needs(this, 'root', 'loop');
  });

  it('has no file, is no error, and does not come back', async () => {
    await using control = await OwnedFd.open('/dev/loop-control', O_RDWR);
    await ioctl(control.fd, LOOP_CTL_ADD, NUMBER, 'loop-control');
    const devnum = { major: LOOP_MAJOR, minor: NUMBER };
    const snapshot = new StorageSnapshot();
    const seen = snapshot.block(devnum);
    await ioctl(control.fd, LOOP_CTL_REMOVE, NUMBER, 'loop-control');
    assert.equal(seen?.path, `/dev/loop${NUMBER}`);
    assert.equal(await snapshot.loop(devnum), undefined);
    // An open of a node with this number would make the device anew (drivers/block/loop.c,
    // loop_probe).
    const isBack = isPresent(devnum);
    if (isBack) await ioctl(control.fd, LOOP_CTL_REMOVE, NUMBER, 'loop-control');
    assert.equal(isBack, false);
  });
});
