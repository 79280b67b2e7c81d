import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { only } from '../../bed/assertions.js';
import { attachLoop } from '../../bed/images.js';
import { createMapped, linear, mappedLeft } from '../../bed/mapper.js';
import { needs } from '../../bed/needs.js';
import { MARKER, on } from '../hotplug/fixture.js';

describe('the bed inside', () => {
  before(function () {
    needs(this, 'root', 'loop', 'xenstored', 'mapper');
  });

  it('has device-mapper with the targets that the tests need, and nobody else uses it', () => {
    const targets = execFileSync('dmsetup', ['targets'], { encoding: 'utf8' });
    for (const target of ['linear', 'crypt', 'verity', 'snapshot', 'error']) {
      assert.match(targets, new RegExp(`^${target} `, 'm'));
    }
    assert.equal(execFileSync('dmsetup', ['ls'], { encoding: 'utf8' }).trim(), 'No devices found');
    assert.equal(execFileSync('losetup', ['--all'], { encoding: 'utf8' }), '');
  });

  it('cannot change the file system of the host', () => {
    const root = readFileSync('/proc/mounts', 'utf8')
      .split('\n')
      .find((line) => line.split(' ')[1] === '/');
    assert.match(root ?? '', / hostfs ro[ ,]/);
  });

  it(
    'has xenstored, loop and a blkback: the script adds a file, which goes with the guest',
    on({ guise: 'diskseq' }, async (fixture) => {
      const vbd = await fixture.vbd(fixture.image());
      assert.equal((await fixture.script(vbd, 'add')).status, 0);
      await fixture.assertConnected(vbd, only(fixture.loops()));
      assert.equal((await fixture.logged(vbd, 'opened')).bytes, MARKER);
    }),
  );

  it(
    'has a mapper device that blkback opens by number, with a content of its own',
    on({}, async (fixture) => {
      await using loop = await attachLoop(fixture.image('a mapped disk'));
      await using mapped = await createMapped('bed-linear', linear(loop.path));
      const vbd = await fixture.vbd(mapped.path);
      await fixture.attach(vbd);
      const { bytes, dev, diskseq } = await fixture.logged(vbd, 'opened');
      assert.deepEqual([bytes, dev, diskseq], ['a mapped disk', mapped.devnum, mapped.diskseq]);
      await fixture.close(vbd);
      await fixture.detach(vbd);
      await fixture.delete(vbd);
      await mapped.remove();
      assert.deepEqual(await mappedLeft(), []);
    }),
  );
});
