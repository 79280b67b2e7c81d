import assert from 'node:assert/strict';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { clearIdleLoop } from '../../../../src/block/loop/clear-idle-loop.js';
import { isLoopBound } from '../../../../src/block/loop/release-loop.js';
import { nextTurn } from '../../../../src/util/next-turn.js';
import { attachLoop, type Loop, makeImage } from '../../../bed/images.js';
import { needs } from '../../../bed/needs.js';
import { mountNew, run } from '../fixture.js';

describe('clearIdleLoop', function () {
  this.timeout(20_000);
  let directory: string;
  before(function () {
    needs(this, 'root', 'loop');
  });
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'xen-idle-loop-'));
  });
  afterEach(() => {
    if (directory !== undefined) rmSync(directory, { recursive: true, force: true });
  });

  const image = (): string => makeImage(directory, { marker: 'idle' });
  const instanceOf = ({ path, diskseq }: Loop) => ({
    path,
    devnum: { major: 7, minor: Number(path.replace('/dev/loop', '')) },
    diskseq: BigInt(diskseq),
  });
  const isAutoclear = ({ path }: Loop): boolean =>
    readFileSync(`/sys/block/${basename(path)}/loop/autoclear`, 'utf8').trim() === '1';

  /** The device is refused with the code, and is left exactly as it was. */
  async function assertLeft(loop: Loop, code: string, sentence: RegExp): Promise<void> {
    await assert.rejects(clearIdleLoop(instanceOf(loop)), (error: Error & { code?: string }) => {
      assert.equal(error.code, code, error.stack ?? '');
      assert.match(error.message, sentence);
      return true;
    });
    assert.equal(isLoopBound(instanceOf(loop)), true);
    assert.equal(isAutoclear(loop), false);
  }

  it('unbinds a device that nobody has open', async () => {
    await using loop = await attachLoop(image());
    await clearIdleLoop(instanceOf(loop));
    assert.equal(isLoopBound(instanceOf(loop)), false);
  });

  it('leaves a device that a process has open, and names the process', async () => {
    await using loop = await attachLoop(image());
    const fd = openSync(loop.path, 'r');
    try {
      // Its own descriptors count in the kernel and not among the holders, like those of blkback.
      await assertLeft(loop, 'EHELD', /in use, and stays as it is: the kernel has it open/);
    } finally {
      closeSync(fd);
    }
  });

  it('leaves a device on which another loop device stands, which no list shows', async () => {
    await using loop = await attachLoop(image());
    await using over = await attachLoop(loop.path);
    await assertLeft(loop, 'EHELD', /the kernel has it open/);
    await over.detach();
    await clearIdleLoop(instanceOf(loop));
    assert.equal(isLoopBound(instanceOf(loop)), false);
  });

  it('leaves a device with a mounted file system, and names the mount', async () => {
    await using loop = await attachLoop(makeImage(directory, { marker: '', size: 4 << 20 }));
    await run('mkfs.ext4', ['-q', loop.path]);
    await using _mount = await mountNew('ext4', directory, loop.path);
    await assertLeft(loop, 'EHELD', /the mount .*\/mount-ext4/);
  });

  it('switches autoclear off again also if it is interrupted just when that is on', async () => {
    await using loop = await attachLoop(image());
    const fd = openSync(loop.path, 'r');
    try {
      // Several tries, because this process may also hear first that autoclear is on.
      for (let left = 10; left > 0; left--) {
        const interrupt = new AbortController();
        const cleared = clearIdleLoop(instanceOf(loop), interrupt.signal);
        cleared.catch(() => undefined);
        while (!seesAutoclear(loop)) await nextTurn();
        interrupt.abort(new Error('enough'));
        await assert.rejects(cleared, { code: 'EHELD' });
        assert.equal(isAutoclear(loop), false);
      }
    } finally {
      closeSync(fd);
    }
    assert.equal(isLoopBound(instanceOf(loop)), true);
  });

  /** Looks for about a millisecond, in which no call of this process is answered. */
  function seesAutoclear(loop: Loop): boolean {
    for (let left = 60; left > 0; left--) if (isAutoclear(loop)) return true;
    return false;
  }

  it('leaves a device that is another one by now', async () => {
    await using loop = await attachLoop(image());
    const other = { ...instanceOf(loop), diskseq: BigInt(loop.diskseq) - 1n };
    await assert.rejects(clearIdleLoop(other), { code: 'EIDENTITY' });
    assert.equal(isLoopBound(instanceOf(loop)), true);
  });
});
