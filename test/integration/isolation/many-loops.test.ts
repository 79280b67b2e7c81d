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
import { Stage } from '../hotplug/stage.js';

const LOOPS = effort(300, 30);
/** Seconds: a busy machine is not what is tested. */
const PATIENT = { XEN_BLKBACK_TIMEOUT: '38' };
const ADDS = effort(60, 6);

describe(`One-shot adds, ${ADDS} at once, beside ${LOOPS} loop devices`, function () {
  this.timeout(180_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  async function beside(body: (stage: Stage) => Promise<void>): Promise<void> {
    await using bed = await startBed({});
    await using store = await openStore(bed);
    const others: Loop[] = [];
    try {
      for (let i = 0; i < LOOPS; i++) {
        others.push(await attachLoop(makeImage(bed.images, { marker: `other ${i}` })));
      }
      await reserve(ADDS);
      const before = readdirSync('/sys/block');
      await body(new Stage(bed, store));
      assert.deepEqual(readdirSync('/sys/block'), before);
    } finally {
      for (const loop of others) await loop.detach();
    }
    assert.deepEqual(await loopsLeft(bed.images), []);
  }

  /** So many loop devices are there that are free, and stay. */
  async function reserve(count: number): Promise<void> {
    const isFree = (name: string): boolean =>
      /^loop\d+$/.test(name) && !existsSync(`/sys/block/${name}/loop/backing_file`);
    // Other tests may take some.
    const missing = 2 * count - readdirSync('/sys/block').filter(isFree).length;
    const made: Loop[] = [];
    const file = '/tmp/reserve.img';
    if (missing > 0) writeFileSync(file, Buffer.alloc(4096));
    for (let i = 0; i < 2 * count && missing > 0; i++) made.push(await attachLoop(file));
    for (const loop of made) await loop.detach();
  }

  async function attachAll(stage: Stage, add: (vbd: Vbd) => Promise<Run>): Promise<void> {
    const markers = Array.from({ length: ADDS }, (_, i) => `disk ${i}`);
    const vbds = await Promise.all(markers.map((marker) => stage.vbd(stage.image(marker))));
    const runs = await Promise.all(vbds.map(add));
    for (const { status, stderr } of runs) assert.equal(status, 0, stderr);
    for (const [index, vbd] of vbds.entries()) {
      assert.deepEqual(
        stage.events(vbd, 'opened').map(({ bytes }) => bytes),
        [markers[index]],
      );
      await stage.delete(vbd);
    }
  }

  it('attach each its own file, and leave no device', () =>
    beside((stage) => attachAll(stage, (vbd) => stage.script(vbd, 'add', PATIENT))));

  it('do so where /dev has no nodes of them, and see what others use', () =>
    beside(async (stage) => {
      const add = (vbd: Vbd): Promise<Run> => addWithoutNodes(stage, vbd);
      await attachAll(stage, add);
      const image = stage.image();
      const reader = await stage.vbd(image, { mode: 'r' });
      const writer = await stage.vbd(image, { frontend: 9 });
      const first = await add(reader);
      assert.equal(first.status, 0, first.stderr);
      const second = await add(writer);
      assert.equal(second.status, 1);
      assert.match(second.stderr, /is attached read-only to domain 7/);
      await stage.delete(reader);
      await stage.delete(writer);
    }));

  /** As in a container whose /dev is its own. */
  function addWithoutNodes(stage: Stage, vbd: Vbd): Promise<Run> {
    const own = join(stage.bed.directory, 'dev');
    mkdirSync(own, { recursive: true });
    const script = `set -e
      mount -t tmpfs none ${own}
      cp -a /dev/null /dev/loop-control /dev/urandom ${own}
      mount --bind ${own} /dev
      exec ${HOTPLUG_SCRIPT} add`;
    const env = { ...stage.bed.env, ...PATIENT, ...libxlEnvironment(vbd.backendPath) };
    return startProgram('unshare', ['--mount', 'sh', '-c', script], env).ended;
  }
});
