import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { SystemError } from '../../../src/linux/errno.js';
import { O_RDONLY, OwnedFd } from '../../../src/linux/fd.js';
import { getLoopStatus } from '../../../src/linux/loop-ioctl.js';
import { readLoopStatuses } from '../../../src/linux/loop-statuses.js';
import { attachLoop, makeImage } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';

describe('readLoopStatuses', () => {
  let directory: string;
  before(function () {
    needs(this, 'root', 'loop');
    directory = mkdtempSync(join(tmpdir(), 'loop-statuses-'));
  });
  after(() => {
    if (directory !== undefined) rmSync(directory, { recursive: true });
  });

  it('tells of each what LOOP_GET_STATUS64 tells, or why it does not', async () => {
    const image = makeImage(directory, { marker: 'x' });
    await using one = await attachLoop(image, { offset: 4096 });
    await using other = await attachLoop(image, { readOnly: true });
    const gone = await attachLoop(image);
    await gone.detach();
    const numberOf = ({ path }: { path: string }): number => Number(basename(path).slice(4));
    const highest = 2 ** 20 - 1;
    const answers = await readLoopStatuses([
      numberOf(one),
      highest,
      numberOf(other),
      numberOf(gone),
    ]);
    for (const [index, loop] of [
      [0, one],
      [2, other],
    ] as const) {
      await using fd = await OwnedFd.open(loop.path, O_RDONLY);
      assert.deepEqual(answers[index]?.result, await getLoopStatus(fd));
      assert.equal(answers[index]?.rdev, fd.inode.rdev);
    }
    const code = (index: number): [string, string | undefined] => {
      const result = answers[index]?.result;
      assert.ok(result instanceof SystemError);
      return [result.code, result.syscall];
    };
    assert.deepEqual(code(1), ['ENOENT', 'open']);
    // Another test may have bound this loop device meanwhile.
    if (answers[3]?.result instanceof SystemError) {
      assert.deepEqual(code(3), ['ENXIO', 'LOOP_GET_STATUS64']);
    }
  });

  it('tells nothing of none', async () => {
    assert.deepEqual(await readLoopStatuses([]), []);
  });
});
