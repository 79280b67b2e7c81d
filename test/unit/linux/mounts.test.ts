import assert from 'node:assert/strict';
import { parseMountinfo, parseSwaps } from '../../../src/linux/mounts.js';

describe('parseMountinfo', () => {
  it('reads id, device, directory, source and type, with what is escaped in them', () => {
    const text = String.raw`27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
61 27 7:3 / /mnt/a\040b\011c\134d rw shared:5 master:1 - ext4 /dev/disk/by-label/a\040b rw
62 27 0:44 / /srv rw,nodev - btrfs /dev/vdb rw,subvolid=5
`;
    assert.deepEqual(parseMountinfo(text), [
      {
        id: 27,
        devnum: { major: 254, minor: 0 },
        directory: '/',
        root: '/',
        source: '/dev/vda',
        type: 'ext4',
        readOnly: false,
        noDevices: false,
        options: 'rw,discard',
      },
      {
        id: 61,
        devnum: { major: 7, minor: 3 },
        directory: '/mnt/a b\tc\\d',
        root: '/',
        source: '/dev/disk/by-label/a b',
        type: 'ext4',
        readOnly: false,
        noDevices: false,
        options: 'rw',
      },
      {
        id: 62,
        devnum: { major: 0, minor: 44 },
        directory: '/srv',
        root: '/',
        source: '/dev/vdb',
        type: 'btrfs',
        readOnly: false,
        noDevices: true,
        options: 'rw,subvolid=5',
      },
    ]);
  });

  it('takes a file system for read-only, not a mount of one that is written elsewhere', () => {
    const text = `30 1 7:1 / /a ro - ext4 /dev/loop1 rw,errors=ro
31 1 7:2 / /b ro,relatime - ext4 /dev/loop2 ro,norecovery
32 1 7:3 / /c rw - ext4 /dev/loop3 ro`;
    assert.deepEqual(
      parseMountinfo(text).map(({ readOnly }) => readOnly),
      [false, true, true],
    );
  });

  it('keeps the letters of other scripts', () => {
    const [mount] = parseMountinfo(`30 1 7:1 / /mnt/\\040ü\\040 rw - ext4 none rw`);
    assert.equal(mount?.directory, '/mnt/ ü ');
  });

  it('leaves out what is no mount', () => {
    assert.deepEqual(parseMountinfo('\nrubbish\n1 2 x:y / / rw - a b c\n'), []);
  });
});

describe('parseSwaps', () => {
  it('reads the paths below the head', () => {
    const text = `Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority
/dev/vda2                               partition\t1048572\t0\t-2
/swap\\040file                           file\t\t8188\t0\t-3
`;
    assert.deepEqual(parseSwaps(text), ['/dev/vda2', '/swap file']);
    assert.deepEqual(parseSwaps('Filename Type\n'), []);
    assert.deepEqual(parseSwaps(''), []);
  });
});
