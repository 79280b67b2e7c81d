import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { OpenVbds } from '../../../src/vbd/open-vbds.js';

describe('OpenVbds', () => {
  let sysfs: string;
  beforeEach(() => {
    // A file system in memory gives each inode a number of its own, as sysfs does.
    sysfs = mkdtempSync('/dev/shm/xen-sysfs-');
    mkdirSync(join(sysfs, 'devices'));
    mkdirSync(join(sysfs, 'bus/xen-backend/devices'), { recursive: true });
  });
  afterEach(() => rmSync(sysfs, { recursive: true }));

  let made = 0;
  const add = (name: string, device?: string, mode?: string): string => {
    const directory = join(sysfs, 'devices', `${made++}`);
    mkdirSync(directory);
    if (device !== undefined) writeFileSync(join(directory, 'physical_device'), `${device}\n`);
    if (mode !== undefined) writeFileSync(join(directory, 'mode'), `${mode}\n`);
    const link = join(sysfs, 'bus/xen-backend/devices', name);
    symlinkSync(directory, `${link}.new`);
    renameSync(`${link}.new`, link);
    return directory;
  };
  const list = (vbds: OpenVbds): string[] =>
    vbds
      .list()
      .map(({ vbd, devnum, writable }) => {
        const access = writable ? 'w' : 'r';
        return `${vbd.backend} ${devnum.major}:${devnum.minor} ${access}`;
      })
      .sort();

  it('lists what blkback has open, and with which access', async () => {
    add('vbd-7-51712', '7:b', 'w');
    add('vbd-8-51728', 'fd:1', 'r');
    add('vbd-9-51712');
    add('vif-7-0', '7:c', 'w');
    assert.deepEqual(list(new OpenVbds(sysfs)), [
      'backend/vbd/7/51712 7:11 w',
      'backend/vbd/8/51728 253:1 r',
    ]);
  });

  it('tells which vbds have nothing open, each time', async () => {
    const vbds = new OpenVbds(sysfs);
    add('vbd-7-51712', '7:b', 'w');
    add('vbd-9-51712');
    for (let round = 0; round < 2; round++) {
      const { idle } = vbds.listAll();
      assert.deepEqual(
        idle.map(({ backend }) => backend),
        ['backend/vbd/9/51712'],
      );
    }
  });

  it('assumes writing where the mode is not there yet, and reads it later', async () => {
    const vbds = new OpenVbds(sysfs);
    const directory = add('vbd-7-51712', '7:b');
    assert.deepEqual(list(vbds), ['backend/vbd/7/51712 7:11 w']);
    writeFileSync(join(directory, 'mode'), 'r\n');
    assert.deepEqual(list(vbds), ['backend/vbd/7/51712 7:11 r']);
  });

  it('notices a device that was opened later, one that is gone, and a vbd that was made anew', async () => {
    const vbds = new OpenVbds(sysfs);
    const directory = add('vbd-7-51712');
    assert.deepEqual(list(vbds), []);
    writeFileSync(join(directory, 'physical_device'), '7:1\n');
    writeFileSync(join(directory, 'mode'), 'w\n');
    assert.deepEqual(list(vbds), ['backend/vbd/7/51712 7:1 w']);
    add('vbd-7-51712', '7:2', 'w');
    assert.deepEqual(list(vbds), ['backend/vbd/7/51712 7:2 w']);
    rmSync(join(sysfs, 'bus/xen-backend/devices/vbd-7-51712'));
    assert.deepEqual(list(vbds), []);
  });

  describe('with a driver', () => {
    let driver: string;
    beforeEach(() => {
      driver = join(sysfs, 'bus/xen-backend/drivers/vbd');
      mkdirSync(driver, { recursive: true });
    });
    const open = (directory: string, device: string): void => {
      writeFileSync(join(directory, 'physical_device'), `${device}\n`);
      writeFileSync(join(directory, 'mode'), 'w\n');
    };
    const close = (directory: string): void => {
      for (const name of ['physical_device', 'mode']) rmSync(join(directory, name));
    };
    const bind = (name: string): void => symlinkSync('/', join(driver, name));

    it('reads all vbds again when it was loaded again, which keeps their directories', () => {
      const vbds = new OpenVbds(sysfs);
      const directory = add('vbd-7-51712', '7:1', 'w');
      bind('vbd-7-51712');
      assert.deepEqual(list(vbds), ['backend/vbd/7/51712 7:1 w']);
      rmSync(driver, { recursive: true });
      close(directory);
      assert.deepEqual(list(vbds), []);
      mkdirSync(driver);
      bind('vbd-7-51712');
      open(directory, '7:2');
      assert.deepEqual(list(vbds), ['backend/vbd/7/51712 7:2 w']);
    });

    it('reads a vbd again when it was unbound, and bound again', () => {
      const vbds = new OpenVbds(sysfs);
      const directory = add('vbd-7-51712', '7:1', 'w');
      add('vbd-8-51712', '7:8', 'r');
      for (const name of ['vbd-7-51712', 'vbd-8-51712']) bind(name);
      const other = 'backend/vbd/8/51712 7:8 r';
      assert.deepEqual(list(vbds), ['backend/vbd/7/51712 7:1 w', other]);
      // The kernel removes the link before it closes the device.
      rmSync(join(driver, 'vbd-7-51712'));
      assert.deepEqual(list(vbds), ['backend/vbd/7/51712 7:1 w', other]);
      close(directory);
      assert.deepEqual(list(vbds), [other]);
      bind('vbd-7-51712');
      assert.deepEqual(list(vbds), [other]);
      open(directory, '7:2');
      assert.deepEqual(list(vbds), ['backend/vbd/7/51712 7:2 w', other]);
      rmSync(join(driver, 'vbd-7-51712'));
      bind('vbd-7-51712');
      open(directory, '7:3');
      assert.deepEqual(list(vbds), ['backend/vbd/7/51712 7:3 w', other]);
    });

    it('reads what a bound vbd has open once', () => {
      const vbds = new OpenVbds(sysfs);
      const directory = add('vbd-7-51712', '7:1', 'w');
      bind('vbd-7-51712');
      assert.deepEqual(list(vbds), ['backend/vbd/7/51712 7:1 w']);
      open(directory, '7:2');
      assert.deepEqual(list(vbds), ['backend/vbd/7/51712 7:1 w']);
    });
  });

  it('takes a kernel without such a bus for one that serves nobody', async () => {
    rmSync(join(sysfs, 'bus/xen-backend'), { recursive: true });
    assert.deepEqual(list(new OpenVbds(sysfs)), []);
  });

  it('never takes a sysfs that is not there for nobody', async () => {
    rmSync(join(sysfs, 'bus'), { recursive: true });
    assert.throws(() => new OpenVbds(sysfs).list(), { code: 'ESYSFS' });
  });
});
