import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { rmSync, statSync } from 'node:fs';
import { listHolders } from '../../../src/block/holders.js';
import { devnumFromStat } from '../../../src/linux/devnum.js';
import { attachLoop, makeImage } from '../../bed/images.js';
import { BTRFS_SIZE, mountBtrfs, mountElsewhere, mountHere, needsBtrfs } from '../../bed/mounts.js';
import { needs } from '../../bed/needs.js';
import { temporaryDirectory } from '../../bed/paths.js';

/** Returns the name of each holder of a device, and how many opens it explains. */
async function holders(path: string): Promise<[string, number][]> {
  const found = await listHolders(devnumFromStat(BigInt(statSync(path).rdev)));
  return found.map(({ name, opens }) => [name, opens]);
}

describe('The mounts of a device', function () {
  this.timeout(60_000);
  let directory: string;

  before(function () {
    needs(this, 'root', 'loop');
  });
  beforeEach(() => {
    directory = temporaryDirectory();
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  const disk = (size = 1024 * 1024) => attachLoop(makeImage(directory, { marker: '', size }));

  it('explain one open, in however many places and namespaces there are mounts', async () => {
    await using loop = await disk();
    execFileSync('mke2fs', ['-q', '-F', loop.path]);
    await using one = mountHere(directory, loop.path);
    await using two = mountHere(directory, loop.path);
    await using _ = await mountElsewhere(directory, loop.path);
    assert.deepEqual(await holders(loop.path), [
      [`the mount ${one.directory}`, 1],
      [`the mount ${two.directory}`, 0],
    ]);
  });

  it('are found in another mount namespace', async () => {
    await using loop = await disk();
    execFileSync('mke2fs', ['-q', '-F', loop.path]);
    await using mount = await mountElsewhere(directory, '-o', 'ro', loop.path);
    const { pid } = mount.process;
    assert.deepEqual(await holders(loop.path), [
      [`the mount ${mount.directory} of process ${pid} (sh)`, 1],
    ]);
  });

  it('are none where only the source is called like the device', async () => {
    await using loop = await disk();
    await using _ = mountHere(directory, '-t', 'tmpfs', loop.path);
    assert.deepEqual(await holders(loop.path), []);
  });

  it('explain an open of each device of a btrfs', async function () {
    needsBtrfs(this);
    await using one = await disk(BTRFS_SIZE);
    await using two = await disk(BTRFS_SIZE);
    await using mount = mountBtrfs(directory, one.path, two.path);
    const uuid = execFileSync('findmnt', ['-no', 'UUID', mount.directory], { encoding: 'utf8' });
    const names = [await holders(one.path), await holders(two.path)].flat();
    assert.deepEqual(names.sort(), [
      [`the btrfs file system ${uuid.trim()}`, 1],
      [`the mount ${mount.directory}`, 1],
    ]);
  });
});
