import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startBed } from '../../bed/bed.js';
import { effort } from '../../bed/effort.js';
import { attachLoop, type Loop, loopsLeft, makeImage } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { HOTPLUG_SCRIPT, libxlEnvironment, type Run, startProgram } from '../../bed/script.js';
import { openStore } from '../../bed/store.js';
import type { Vbd } from '../../bed/toolstack.js';
import { HotplugFixture } from '../hotplug/fixture.js';

const LOOPS = effort(300, 30);
/** The time limit in seconds is long, because the speed of a busy machine is not tested here. */
const PATIENT = { XEN_BLKBACK_TIMEOUT: '38' };
const ADDS = effort(60, 6);

describe(`One-shot adds, ${ADDS} at once, beside ${LOOPS} loop devices`, function () {
  this.timeout(180_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  async function beside(body: (fixture: HotplugFixture) => Promise<void>): Promise<void> {
    await using bed = await startBed({});
    await using store = await openStore(bed);
    const others: Loop[] = [];
    try {
      for (let i = 0; i < LOOPS; i++) {
        others.push(await attachLoop(makeImage(bed.images, { marker: `other ${i}` })));
      }
      await reserve(ADDS);
      const before = readdirSync('/sys/block');
      await body(new HotplugFixture(bed, store));
      assert.deepEqual(readdirSync('/sys/block'), before);
    } finally {
      for (const loop of others) await loop.detach();
    }
    assert.deepEqual(await loopsLeft(bed.images), []);
  }

  /** Makes sure that enough loop devices are free, and that these stay. */
  async function reserve(count: number): Promise<void> {
    const isFree = (name: string): boolean =>
      /^loop\d+$/.test(name) && !existsSync(`/sys/block/${name}/loop/backing_file`);
    // Other tests may take some of the free loop devices.
    const missing = 2 * count - readdirSync('/sys/block').filter(isFree).length;
    const made: Loop[] = [];
    const file = '/tmp/reserve.img';
    if (missing > 0) writeFileSync(file, Buffer.alloc(4096));
    for (let i = 0; i < 2 * count && missing > 0; i++) made.push(await attachLoop(file));
    for (const loop of made) await loop.detach();
  }

  async function attachAll(
    fixture: HotplugFixture,
    add: (vbd: Vbd) => Promise<Run>,
  ): Promise<void> {
    const markers = Array.from({ length: ADDS }, (_, i) => `disk ${i}`);
    const vbds = await Promise.all(markers.map((marker) => fixture.vbd(fixture.image(marker))));
    const runs = await Promise.all(vbds.map(add));
    for (const { status, stderr } of runs) assert.equal(status, 0, stderr);
    for (const [index, vbd] of vbds.entries()) {
      assert.deepEqual(
        fixture.events(vbd, 'opened').map(({ bytes }) => bytes),
        [markers[index]],
      );
      await fixture.delete(vbd);
    }
  }

  it('attach each its own file, and leave no device', () =>
    beside((fixture) => attachAll(fixture, (vbd) => fixture.script(vbd, 'add', PATIENT))));

  it('do so where /dev has no nodes of them, and see what others use', () =>
    beside(async (fixture) => {
      const add = (vbd: Vbd): Promise<Run> => addWithoutNodes(fixture, vbd);
      await attachAll(fixture, add);
      const image = fixture.image();
      const reader = await fixture.vbd(image, { mode: 'r' });
      const writer = await fixture.vbd(image, { frontend: 9 });
      const first = await add(reader);
      assert.equal(first.status, 0, first.stderr);
      const second = await add(writer);
      assert.equal(second.status, 1);
      assert.match(second.stderr, /is attached read-only to domain 7/);
      await fixture.delete(reader);
      await fixture.delete(writer);
    }));

  /** Runs an add where /dev has no loop devices, as in a container with a /dev of its own. */
  function addWithoutNodes(fixture: HotplugFixture, vbd: Vbd): Promise<Run> {
    const own = join(fixture.bed.directory, 'dev');
    mkdirSync(own, { recursive: true });
    const script = `set -e
      mount -t tmpfs none ${own}
      cp -a /dev/null /dev/loop-control /dev/urandom ${own}
      mount --bind ${own} /dev
      exec ${HOTPLUG_SCRIPT} add`;
    const env = { ...fixture.bed.env, ...PATIENT, ...libxlEnvironment(vbd.backendPath) };
    return startProgram('unshare', ['--mount', 'sh', '-c', script], env).ended;
  }
});
