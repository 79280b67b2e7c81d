import assert from 'node:assert/strict';
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { placeOfFd } from '../../../src/linux/place.js';

function placeOf(path: string) {
  const fd = openSync(path, 'r');
  try {
    return placeOfFd(fd);
  } finally {
    closeSync(fd);
  }
}

describe('The place of a call that may hang', () => {
  it('is each name by itself in a file system in memory, as a tmpfs that a container has as /dev', () => {
    const directory = mkdtempSync('/dev/shm/xen-place-');
    try {
      const paths = ['sda', 'sdb'].map((name) => join(directory, name));
      for (const path of paths) writeFileSync(path, '');
      assert.deepEqual(
        paths.map((path) => placeOf(path)?.key),
        paths,
      );
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it('is the whole file system elsewhere', () => {
    const [key] = [placeOf('/proc/self/stat')?.key];
    assert.match(key ?? '', /^\d+:\d+$/);
    assert.equal(placeOf('/proc/self/maps')?.key, key);
  });
});
