import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { only } from '../../bed/assertions.js';
import { attachLoop, diskseqOf } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { changeLoopFile } from '../block/loop/loop-changes.js';
import { GUISES, withGround } from './ground.js';
import { assertBusy } from './guests.js';

describe('The sequence number of a device rises while blkback has it open', () => {
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  for (const guise of GUISES) {
    for (const kind of ['file', 'disk'] as const) {
      it(
        `a ${kind}: another guest's add for writing is refused (${guise} blkback)`,
        // The disk stands on a file of the fixture too, so the ground is a file in both cases.
        withGround('file', { guise }, async (fixture, ground) => {
          const disk =
            kind === 'disk' ? await attachLoop(ground.path, { readOnly: true }) : undefined;
          try {
            const vbd = await fixture.vbd(disk?.path ?? ground.path, { mode: 'r' });
            await fixture.attach(vbd);
            const { diskseq } = await fixture.logged(vbd, 'opened');
            const loop = only(fixture.loops());
            const path = fixture.image('another file');
            // The kernel exchanges the file of an open loop device only if the device is read-only.
            await changeLoopFile(loop, path);
            assert.notEqual(diskseqOf(loop), diskseq);
            await assertBusy(fixture, { ...ground, path });
          } finally {
            if (disk) spawnSync('losetup', ['--detach', disk.path]);
          }
        }),
      );
    }
  }
});
