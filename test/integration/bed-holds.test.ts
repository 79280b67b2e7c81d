import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Bed, startBed } from '../bed/bed.js';
import type { BlkbackBehaviour, BlkbackEvent } from '../bed/blkback.js';
import { attachLoop, diskseqOf, type Loop, makeImage } from '../bed/images.js';
import { needs } from '../bed/needs.js';
import { closeVbd, createVbd, deleteVbd, type Vbd, waitInitWait } from '../bed/toolstack.js';
import { changeLoopFile } from './block/loop/loop-changes.js';

describe('what the stand-in for blkback can put off', () => {
  let bed: Bed;
  let loop: Loop;

  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  async function setUp(behaviour: BlkbackBehaviour = {}): Promise<Vbd> {
    bed = await startBed(behaviour);
    loop = await attachLoop(makeImage(bed.images, { marker: 'a disk' }), { readOnly: true });
    return newVbd(7);
  }

  afterEach(async () => {
    await loop?.detach();
    await bed?.[Symbol.asyncDispose]();
  });

  async function newVbd(frontend: number): Promise<Vbd> {
    const options = { frontend, devid: 51712, params: loop.path, mode: 'r' };
    const vbd = await createVbd(bed.tools, options);
    await waitInitWait(bed.tools, vbd);
    return vbd;
  }

  const publish = (vbd: Vbd) =>
    bed.tools.write({ [`${vbd.backendPath}/physical-device`]: loop.devnum });
  const logged = (vbd: Vbd, event: BlkbackEvent['event']) =>
    bed.blkback.waitFor((line) => line.vbd === vbd.key && line.event === event);
  const has = (vbd: Vbd, event: BlkbackEvent['event']) =>
    bed.blkback.log().some((line) => line.vbd === vbd.key && line.event === event);
  const sysfs = (vbd: Vbd, attribute = '') =>
    join(bed.blkback.sysfs, `bus/xen-backend/devices/vbd-${vbd.key.replace('/', '-')}`, attribute);

  it('an open, which comes although the nodes were taken back meanwhile', async () => {
    const late = await setUp();
    await bed.blkback.hold('open', late.key);
    await publish(late);
    await logged(late, 'physical-device');
    await bed.tools.remove(`${late.backendPath}/physical-device`);
    const other = await newVbd(8);
    await publish(other);
    await logged(other, 'opened');
    assert.ok(!has(late, 'opened'), 'the one waits, the other does not');
    await bed.blkback.release('open', late.key);
    assert.equal((await logged(late, 'opened')).diskseq, loop.diskseq);
  });

  it('what happens to the nodes: they are gone, and sysfs has the vbd still', async () => {
    const vbd = await setUp();
    await publish(vbd);
    await logged(vbd, 'opened');
    await bed.blkback.hold('events', vbd.key);
    await deleteVbd(bed.tools, vbd);
    const other = await newVbd(8);
    await publish(other);
    await logged(other, 'opened');
    assert.equal(readFileSync(sysfs(vbd, 'physical_device'), 'utf8'), `${loop.devnum}\n`);
    assert.ok(!has(vbd, 'removed'));
    await bed.blkback.release('events', vbd.key);
    await logged(vbd, 'closed');
    assert.ok(!existsSync(sysfs(vbd)));
  });

  it('what is written while events are held, and taken back: it is never read', async () => {
    const vbd = await setUp();
    await bed.blkback.hold('events', vbd.key);
    await publish(vbd);
    await bed.tools.remove(`${vbd.backendPath}/physical-device`);
    await bed.blkback.release('events', vbd.key);
    await publish(await newVbd(8));
    assert.ok(!has(vbd, 'physical-device'));
  });

  it('a close, of one vbd and not of another', async () => {
    const held = await setUp();
    const other = await newVbd(8);
    await bed.blkback.hold('close', held.key);
    for (const vbd of [held, other]) {
      await publish(vbd);
      await logged(vbd, 'opened');
      await closeVbd(bed.tools, vbd);
      await logged(vbd, 'removed');
    }
    await logged(other, 'closed');
    assert.ok(!has(held, 'closed'));
    await bed.blkback.release('close', held.key);
    await logged(held, 'closed');
  });

  it('nothing of an attribute in sysfs: it is there whole or not at all', async () => {
    const vbd = await setUp();
    await publish(vbd);
    const end = performance.now() + 5000;
    let text = read();
    // The loop makes no pause, so that it would meet an empty attribute.
    while (text === undefined && performance.now() < end) text = read();
    assert.equal(text, `${loop.devnum}\n`);

    function read(): string | undefined {
      try {
        return readFileSync(sysfs(vbd, 'physical_device'), 'utf8');
      } catch {
        return undefined;
      }
    }
  });

  it('and a disk whose sequence number rises while it is open stays open', async () => {
    const vbd = await setUp({ guise: 'diskseq' });
    await publish(vbd);
    const { diskseq } = await logged(vbd, 'opened');
    await changeLoopFile(loop.path, makeImage(bed.images, { marker: 'another disk' }));
    assert.ok(Number(diskseqOf(loop.path)) > Number(diskseq));
    await deleteVbd(bed.tools, vbd);
    assert.equal((await logged(vbd, 'closed')).diskseq, diskseq);
    // The device is no longer the one that `loop` knows, so `loop.detach` would not detach it.
    spawnSync('losetup', ['--detach', loop.path]);
  });
});
