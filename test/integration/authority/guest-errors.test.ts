import assert from 'node:assert/strict';
import { pause } from '../../../src/util/retry.js';
import { needs } from '../../bed/needs.js';
import { GUISES, withGround } from './ground.js';

// A guest can make the kernel report an error, for example by a state that there is not
// (drivers/block/xen-blkback/xenbus.c, frontend_changed). blkback then closes its end, and opens the
// device all the same once it hears of the publication.
describe('An error of the guest while blkback is about to open its device', function () {
  this.timeout(60_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  for (const guise of GUISES) {
    for (const kind of ['disk', 'file'] as const) {
      for (const ending of ['add', 'remove'] as const) {
        it(
          `does not free the device: a ${kind}, after the ${ending} (${guise} blkback)`,
          withGround(kind, { guise }, async (fixture, { path }) => {
            const old = await fixture.vbd(path, { mode: 'w' });
            await fixture.blkback.hold('open', old.key);
            const adding = fixture.attach(old);
            adding.catch(() => undefined);
            await fixture.logged(old, 'physical-device');
            await fixture.store.transact([
              { op: 'write', path: old.errorPath, value: '22 saw state 9 at frontend' },
              { op: 'write', path: `${old.backendPath}/state`, value: '5' },
            ]);
            await assert.rejects(adding, /blkback has given up the vbd: "22 saw state 9/);
            if (ending === 'remove') await fixture.script(old, 'remove');
            const marker = `of the next guest ${process.pid}`;
            const next = kind === 'disk' ? path : fixture.image(marker);
            const vbd = await fixture.vbd(next, { frontend: 8 });
            const added = fixture.attach(vbd);
            added.catch(() => undefined);
            await pause(300);
            if (kind === 'disk') assert.deepEqual(fixture.events(vbd, 'opened'), []);
            await fixture.blkback.release('open', old.key);
            await added.catch(() => undefined);
            for (const { bytes } of fixture.events(old, 'opened')) assert.notEqual(bytes, marker);
          }),
        );
      }
    }
  }
});
