import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { listSizes } from '../../../src/topology/lies-elsewhere.js';
import { needs } from '../../bed/needs.js';
import { temporaryDirectory } from '../../bed/paths.js';

/** Binds a loop device to a file whose path is longer than a page. Prints the loop device. */
const BIND = `
cd "$1"
part=$(printf '%0200d' 0)
for _ in $(seq 25); do mkdir "$part"; cd "$part"; done
truncate --size=1234K disk.img
exec 3<>disk.img
losetup --find --show /proc/self/fd/3
`;

describe('The sizes of block devices', () => {
  before(function () {
    needs(this, 'root', 'loop');
  });

  it('are had beside a loop device whose path is too long for sysfs, with its own', () => {
    const directory = temporaryDirectory();
    const loop = execFileSync('bash', ['-ec', BIND, 'bash', directory], {
      encoding: 'utf8',
    }).trim();
    try {
      const file = `/sys/block/${basename(loop)}/loop/backing_file`;
      assert.throws(() => readFileSync(file), { code: 'ENAMETOOLONG' });
      assert.ok(listSizes().includes(1234n));
    } finally {
      execFileSync('losetup', ['--detach', loop]);
      // rmSync of Node.js cannot remove a path of this length.
      execFileSync('rm', ['-rf', directory]);
    }
  });
});
