import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { needs } from '../../bed/needs.js';
import { withMapper } from './bench.js';

// This file is the first in the alphabet. Once this process has asked device-mapper for something,
// it keeps the control node open, and the module cannot be unloaded.
describe('a kernel without device-mapper', () => {
  before(function () {
    needs(this, 'root', 'loop', 'xenstored', 'mapper');
  });

  it(
    'is said where one is asked for, with exit 1, and nothing is left; a plain file does without',
    withMapper({}, async (fixture) => {
      const wanted = await fixture.vbd('dm-name=bench-x');
      const layered = await fixture.vbd(`path=${fixture.image()},layer=linear`);
      await withoutMapper(async () => {
        for (const vbd of [wanted, layered]) {
          const { status, stderr } = await fixture.script(vbd, 'add');
          assert.equal(status, 1);
          assert.match(stderr, /device-mapper/);
          assert.match(stderr.trimEnd(), /^[^\n]*$/);
          fixture.assertNothingLeft();
        }
        // A vbd that needs no mapper device works without device-mapper.
        const plain = await fixture.vbd(fixture.image());
        assert.equal((await fixture.script(plain, 'add')).status, 0);
        await fixture.close(plain);
        assert.equal((await fixture.script(plain, 'remove')).status, 0);
      });
    }),
  );
});

/** Unloads device-mapper while `body` runs, and keeps the kernel from loading it again. */
async function withoutMapper(body: () => Promise<void>): Promise<void> {
  const HELPER = '/proc/sys/kernel/modprobe';
  const modprobe = readFileSync(HELPER, 'utf8').trim();
  const modules = readFileSync('/proc/modules', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[0] ?? '')
    .filter((name) => /^dm_/.test(name));
  writeFileSync(HELPER, '/bin/false');
  try {
    // Modules that other modules use go in a later round.
    for (let left = modules; left.length > 0; ) {
      const stay = left.filter((name) => spawnSync('rmmod', [name]).status !== 0);
      assert.ok(stay.length < left.length, `${stay.join(', ')} cannot be unloaded`);
      left = stay;
    }
    await body();
  } finally {
    writeFileSync(HELPER, modprobe);
    for (const name of modules) execFileSync(modprobe, [name]);
  }
}
