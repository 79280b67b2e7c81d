import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BlkbackError } from '../../../src/errors.js';
import { failure } from '../../bed/assertions.js';
import { attachLoop } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { exchangeBacking, exchanged } from './altered-disks.js';
import { beforeWriting } from './before-writing.js';
import { on } from './fixture.js';

const GUISES = ['stock', 'diskseq'] as const;

describe('attach', () => {
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  describe('fails when', () => {
    for (const guise of GUISES) {
      it(
        `a ${guise} blkback cannot open the device: the kernel's text is in hotplug-error`,
        on({ guise, failOpen: 16 }, async (fixture) => {
          const vbd = await fixture.vbd(fixture.image());
          const error = await failure('EBLKBACK', fixture.attach(vbd));
          assert.match(error.message, /2 creating vbd structure/);
          await fixture.assertTakenBack(vbd, error);
        }),
      );
    }

    it(
      'a diskseq blkback finds another disk under the number',
      on({ guise: 'diskseq', hold: true }, async (fixture) => {
        await using loop = await attachLoop(fixture.image(), { readOnly: true });
        const vbd = await fixture.vbd(loop.path, { mode: 'r' });
        const attempt = failure('EBLKBACK', fixture.attach(vbd));
        await fixture.logged(vbd, 'physical-device');
        exchangeBacking(loop.path, fixture.image('the wrong disk'));
        fixture.blkback.kill('SIGUSR1');
        const error = await attempt;
        assert.match(error.message, /19 creating vbd structure/);
        assert.equal(fixture.events(vbd, 'refused').length, 1);
        assert.equal(fixture.events(vbd, 'opened').length, 0);
        await fixture.assertTakenBack(vbd, error, loop);
        exchanged(loop.path);
      }),
    );

    it(
      'a stock blkback has opened another content under the number: XenStore goes on saying what it has',
      on({ guise: 'stock', hold: true }, async (fixture) => {
        await using loop = await attachLoop(fixture.image(), { readOnly: true });
        const vbd = await fixture.vbd(loop.path, { mode: 'r' });
        const attempt = failure('EIDENTITY', fixture.attach(vbd));
        await fixture.logged(vbd, 'physical-device');
        exchangeBacking(loop.path, fixture.image('the wrong disk'));
        fixture.blkback.kill('SIGUSR1');
        const error = await attempt;
        assert.match(error.message, /was changed while it was being attached/);
        assert.equal((await fixture.logged(vbd, 'opened')).bytes, 'the wrong disk');
        await fixture.assertKept(vbd, error, loop.path);
        await fixture.delete(vbd);
        exchanged(loop.path);
      }),
    );

    it(
      'the run directory cannot be written: it says which, and no loop device stays for good',
      on({}, async (fixture) => {
        const runDirectory = join(fixture.bed.directory, 'no-directory');
        writeFileSync(runDirectory, '');
        const vbd = await fixture.vbd(`path=${fixture.image()},autoclear=no,sharing=allow`);
        const error = await failure('ERECORD', fixture.attach(vbd, { runDirectory }));
        assert.ok(error instanceof BlkbackError, `${error.name}, for which --json says EINTERNAL`);
        assert.ok(error.message.includes(runDirectory), error.message);
        assert.deepEqual(await fixture.nodes(vbd, 'physical-device', 'hotplug-status'), [
          undefined,
          'error',
        ]);
        await fixture.delete(vbd);
        fixture.assertNothingLeft();
      }),
    );

    it(
      'the backend was made anew meanwhile, for another disk: blkback never sees the first one',
      on({}, async (fixture) => {
        const vbd = await fixture.vbd(fixture.image('an old disk'));
        const params = fixture.image('a new disk');
        const store = beforeWriting(fixture.store, 'physical-device', async () => {
          await fixture.delete(vbd);
          const [frontend = 0, devid = 0] = vbd.key.split('/').map(Number);
          await fixture.vbd(params, { frontend, devid });
        });
        const error = await failure('ESTATE', fixture.attachThrough(store, vbd));
        assert.match(error.message, /params changed/);
        assert.deepEqual(fixture.events(vbd, 'physical-device', 'opened', 'failed'), []);
        assert.equal(await fixture.node(vbd, 'physical-device'), undefined);
        fixture.assertNothingLeft();
      }),
    );

    it(
      'the backend goes before it can be called connected: a loop device without autoclear goes too',
      on({}, async (fixture) => {
        const vbd = await fixture.vbd(`path=${fixture.image()},autoclear=no`);
        const store = beforeWriting(fixture.store, 'hotplug-status', () => fixture.delete(vbd));
        await failure('EGONE', fixture.attachThrough(store, vbd));
        assert.equal(await fixture.exists(vbd.backendPath), false);
        fixture.assertNothingLeft();
      }),
    );
  });
});
