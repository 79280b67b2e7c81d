import assert from 'node:assert/strict';
import { pause } from '../../../src/util/retry.js';
import { needs } from '../../bed/needs.js';
import { layers, settled, withMapper } from './bench.js';

// An add is killed after it has published its layer, which goes with it. Its number is free, and a
// blkback that does not compare sequence numbers opens whatever has it by then.
describe('The number of a layer that a killed add has published', function () {
  this.timeout(60_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored', 'mapper');
  });

  for (const next of ['layer', 'mapper device'] as const) {
    it(
      `is not that of the disk of another guest: a ${next}`,
      withMapper({}, async (fixture, bench) => {
        const old = await fixture.vbd(`path=${fixture.image('of the old guest')},layer=linear`);
        await fixture.blkback.hold('open', old.key);
        const adding = fixture.startScript(old, 'add');
        await fixture.logged(old, 'physical-device');
        const number = await fixture.node(old, 'physical-device');
        adding.process.kill('SIGKILL');
        await adding.ended;
        await settled(async () => assert.deepEqual(await layers(), []));
        const marker = 'of the next guest';
        const isLayer = next === 'layer';
        const params = isLayer
          ? `path=${fixture.image(marker)},layer=linear`
          : (await bench.linear(marker)).path;
        const vbd = await fixture.vbd(params, { frontend: 8 });
        const { status, stderr } = await fixture.script(vbd, 'add');
        // A layer gets another number. A mapper device keeps its number, so that it is refused.
        if (isLayer) {
          assert.deepEqual([status, stderr], [0, '']);
          assert.notEqual(await fixture.node(vbd, 'physical-device'), number);
        } else {
          assert.match(stderr, /names its number for a device that had it before/);
        }
        await fixture.blkback.release('open', old.key);
        await pause(300);
        const opened = fixture.events(old, 'opened');
        if (isLayer) for (const { bytes } of opened) assert.notEqual(bytes, marker);
      }),
    );
  }
});
