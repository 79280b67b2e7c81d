import assert from 'node:assert/strict';
import { closeSync, constants, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { attachLoop, sysfsAttribute } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { HOTPLUG_SCRIPT, libxlEnvironment, type Run, startProgram } from '../../bed/script.js';
import { on } from '../hotplug/fixture.js';

/** O_EXCL of open(2), which Node.js has for files only. */
const O_EXCL = 0o200;

describe('A disk that a program has claimed, where /dev has no node of the kernel for it', () => {
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  it(
    'is refused by any other name, as with the node',
    on({}, async (fixture) => {
      await using loop = await attachLoop(fixture.image());
      const vbd = await fixture.vbd('/dev/disk');
      const [major, minor] = sysfsAttribute(loop.path, 'dev').split(':');
      const own = join(fixture.bed.directory, 'dev');
      mkdirSync(own);
      const script = `set -e
        mount -t tmpfs none ${own}
        cp -a /dev/null /dev/loop-control /dev/urandom ${own}
        mknod ${own}/disk b ${major} ${minor}
        mount --bind ${own} /dev
        exec ${HOTPLUG_SCRIPT} add`;
      const env = { ...fixture.bed.env, ...libxlEnvironment(vbd.backendPath) };
      const add = (): Promise<Run> =>
        startProgram('unshare', ['--mount', 'sh', '-c', script], env).ended;
      const fd = openSync(loop.path, constants.O_RDONLY | O_EXCL);
      try {
        const { status, stderr } = await add();
        assert.equal(status, 1, 'a disk that a program has claimed was attached');
        assert.match(stderr, /held exclusively here/);
      } finally {
        closeSync(fd);
      }
      const { status, stderr } = await add();
      assert.equal(status, 0, stderr);
    }),
  );
});
