import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { isMadeAnew, VbdDirectory } from '../../../src/vbd/vbd-directory.js';

describe('An instance of a vbd', () => {
  const NAME = 'vbd-7-51712';
  let sysfs: string;
  let directory: string;
  beforeEach(() => {
    sysfs = mkdtempSync('/dev/shm/xen-sysfs-');
    directory = join(sysfs, 'bus/xen-backend/devices', NAME);
    mkdirSync(directory, { recursive: true });
  });
  afterEach(() => rmSync(sysfs, { recursive: true }));

  it('is made anew when there is another one, and not when it is gone', async () => {
    await using pinned = await VbdDirectory.pin(sysfs, NAME);
    assert.ok(pinned);
    assert.deepEqual([pinned.isCurrent(), isMadeAnew(sysfs, NAME, pinned)], [true, false]);
    rmSync(directory, { recursive: true });
    assert.deepEqual([pinned.isCurrent(), isMadeAnew(sysfs, NAME, pinned)], [false, false]);
    mkdirSync(directory);
    assert.deepEqual([pinned.isCurrent(), isMadeAnew(sysfs, NAME, pinned)], [false, true]);
  });

  it('is made anew where there was none before', () => {
    assert.equal(isMadeAnew(sysfs, NAME, undefined), true);
    rmSync(directory, { recursive: true });
    assert.equal(isMadeAnew(sysfs, NAME, undefined), false);
  });
});
