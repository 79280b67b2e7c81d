import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdirSync, openSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { listClaimants } from '../../../src/block/holders.js';
import { devnumFromStat } from '../../../src/linux/devnum.js';
import { attachLoop, type Loop, makeImage } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { temporaryDirectory } from '../../bed/paths.js';

/** Tells whether the kernel lets a program open a device exclusively. */
function canClaim(path: string): boolean {
  try {
    closeSync(openSync(path, constants.O_RDONLY | constants.O_EXCL));
    return true;
  } catch {
    return false;
  }
}

describe('The claimants of a disk or partition', function () {
  this.timeout(60_000);
  let directory: string;
  let loop: Loop;
  let disk: string;
  let parts: readonly [string, string];

  before(function () {
    needs(this, 'root', 'loop');
  });
  beforeEach(async () => {
    directory = temporaryDirectory();
    mkdirSync(join(directory, 'mount'));
    loop = await attachLoop(makeImage(directory, { marker: '' }));
    disk = loop.path;
    parts = [`${disk}p1`, `${disk}p2`];
    execFileSync('addpart', [disk, '1', '512', '512']);
    execFileSync('addpart', [disk, '2', '1024', '512']);
  });
  afterEach(async () => {
    execFileSync('umount', [join(directory, 'mount')]);
    for (const number of ['1', '2']) execFileSync('delpart', [disk, number]);
    await loop.detach();
    rmSync(directory, { recursive: true });
  });

  const mount = (path: string): void => {
    execFileSync('mke2fs', ['-q', '-F', path]);
    execFileSync('mount', [path, join(directory, 'mount')]);
  };

  /**
   * Requires that exactly these devices have the mount among their claimants, as the kernel does.
   */
  const requireClaimed = async (...claimed: string[]): Promise<void> => {
    for (const path of [disk, ...parts]) {
      const devnum = devnumFromStat(BigInt(statSync(path).rdev));
      const expected = claimed.includes(path) ? [`the mount ${directory}/mount`] : [];
      assert.deepEqual(await listClaimants(devnum), expected, path);
      assert.equal(canClaim(path), expected.length === 0, path);
    }
  };

  it('are those of a partition itself and of its disk, and not those of another partition', async () => {
    mount(parts[0]);
    await requireClaimed(disk, parts[0]);
  });

  it('are for a partition also those of the whole disk', async () => {
    mount(disk);
    await requireClaimed(disk, ...parts);
  });
});
