import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { pause } from '../../../src/util/retry.js';
import { attachLoop, makeImage } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { on } from '../hotplug/fixture.js';

// An add is killed after its publication, and then its device gives its number to another one. A
// blkback that does not compare sequence numbers opens whatever has the number.
describe('A disk that has got the number of another one', function () {
  this.timeout(60_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  for (const guise of ['stock', 'diskseq'] as const) {
    it(
      `is given to no guest while blkback may open it for another one (${guise} blkback)`,
      on({ guise }, async (fixture) => {
        const directory = join(fixture.bed.directory, 'disks');
        mkdirSync(directory);
        const first = makeImage(directory, { marker: 'the first disk' });
        const second = makeImage(directory, { marker: 'the second disk' });
        await using disk = await attachLoop(first);
        const old = await fixture.vbd(disk.path, { mode: 'w' });
        await fixture.blkback.hold('open', old.key);
        const adding = fixture.startScript(old, 'add');
        await fixture.logged(old, 'physical-device');
        adding.process.kill('SIGKILL');
        await adding.ended;
        losetup('--detach', disk.path);
        await pause(100);
        losetup(disk.path, second);
        await using _second = { [Symbol.asyncDispose]: async () => losetup('--detach', disk.path) };
        const vbd = await fixture.vbd(disk.path, { frontend: 8, mode: 'w' });
        const { status, stderr } = await fixture.script(vbd, 'add');
        if (guise === 'stock') {
          assert.equal(status, 1);
          assert.match(
            stderr,
            /at risk of being opened read-write for domain 7 .*names its number for a device that had it before.*xl block-detach --force 7 51712 ends that/,
          );
          assert.doesNotMatch((await fixture.node(vbd, 'hotplug-error')) ?? '', /domain 7/);
        } else assert.deepEqual([status, stderr], [0, '']);
        await fixture.blkback.release('open', old.key);
        await fixture.logged(old, guise === 'stock' ? 'opened' : 'error');
        for (const one of [old, vbd]) await fixture.delete(one);
      }),
    );
  }
});

function losetup(...args: readonly string[]): void {
  assert.equal(spawnSync('losetup', args).status, 0);
}
