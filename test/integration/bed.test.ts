import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Bed, startBed } from '../bed/bed.js';
import type { BlkbackBehaviour, BlkbackEvent } from '../bed/blkback.js';
import { fileExists, within } from '../bed/deadline.js';
import { attachLoop, type Loop, loopsOf, makeImage } from '../bed/images.js';
import { needs } from '../bed/needs.js';
import {
  closeVbd,
  createVbd,
  deleteVbd,
  setFrontendState,
  type Vbd,
  type VbdOptions,
  waitInitWait,
  waitNode,
  waitState,
} from '../bed/toolstack.js';
import { runXenBlock } from '../bed/xen-block.js';

const MARKER = 'the right disk';

describe('host bed', () => {
  let bed: Bed;
  let loop: Loop;

  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  afterEach(async () => {
    await loop?.detach();
    await bed?.[Symbol.asyncDispose]();
  });

  /** A bed, a loop device, and a vbd that waits for a device. */
  async function setUp(
    behaviour: BlkbackBehaviour,
    options: Partial<VbdOptions> = {},
  ): Promise<Vbd> {
    bed = await startBed(behaviour);
    loop = await attachLoop(makeImage(bed.images, { marker: MARKER }));
    return newVbd(options);
  }

  async function newVbd(options: Partial<VbdOptions> = {}): Promise<Vbd> {
    const usual = { frontend: 7, devid: 51712, params: loop.path };
    const vbd = await createVbd(bed.tools, { ...usual, ...options });
    await waitInitWait(bed.tools, vbd);
    return vbd;
  }

  const publish = (vbd: Vbd, device: string, diskseq?: string) =>
    bed.tools.write({
      ...(diskseq === undefined ? {} : { [`${vbd.backendPath}/diskseq`]: diskseq }),
      [`${vbd.backendPath}/physical-device`]: device,
    });

  /** The first such line of the vbd, or the first after another line. */
  const logged = (vbd: Vbd, event: BlkbackEvent['event'], after?: BlkbackEvent) =>
    bed.blkback.waitFor(
      (line) => line.vbd === vbd.key && line.event === event && line.time > (after?.time ?? 0),
      5000,
      `${event} ${vbd.key}`,
    );

  const openings = (vbd: Vbd) =>
    bed.blkback.log().filter((line) => line.event === 'opened' && line.vbd === vbd.key).length;

  const node = (vbd: Vbd, name: string) => bed.tools.text(`${vbd.backendPath}/${name}`);

  const sysfs = (vbd: Vbd, attribute = '') =>
    join(bed.blkback.sysfs, `bus/xen-backend/devices/vbd-${vbd.key.replace('/', '-')}`, attribute);

  const hex = () => BigInt(loop.diskseq).toString(16);
  const wrongHex = () => (BigInt(loop.diskseq) + 1n).toString(16);

  describe('a stock blkback', () => {
    it('opens the device by its number and says so in sysfs only', async () => {
      const vbd = await setUp({ guise: 'stock' }, { mode: 'r' });
      assert.ok(existsSync(sysfs(vbd)));
      assert.ok(!existsSync(sysfs(vbd, 'physical_device')));
      await publish(vbd, loop.devnum, wrongHex());
      await within(5000, 'physical_device', (signal) =>
        fileExists(sysfs(vbd, 'physical_device'), signal),
      );
      const { dev, diskseq, bytes, size, mode } = await logged(vbd, 'opened');
      assert.deepEqual(
        { dev, diskseq, bytes, size, mode },
        { dev: loop.devnum, diskseq: loop.diskseq, bytes: MARKER, size: 1024 * 1024, mode: 'r' },
      );
      assert.equal(readFileSync(sysfs(vbd, 'physical_device'), 'utf8'), `${loop.devnum}\n`);
      assert.equal(await node(vbd, 'opened'), undefined);
      assert.equal(await node(vbd, 'state'), '2');
    });

    it('honours a physical-device that is there from the start', async () => {
      await setUp({});
      const extra = { 'physical-device': loop.devnum };
      const vbd = await newVbd({ devid: 51728, extra });
      await logged(vbd, 'opened');
    });

    for (const write of [
      (devnum: string) => `${devnum} junk`,
      (devnum: string) => `0x${devnum.replace(':', ':0x')}`,
      (devnum: string) => ` ${devnum.toUpperCase()}`,
    ]) {
      it(`reads ${write('7:a')} as the driver's sscanf would`, async () => {
        const vbd = await setUp({});
        await publish(vbd, write(loop.devnum));
        assert.equal((await logged(vbd, 'opened')).diskseq, loop.diskseq);
      });
    }

    it('waits on where there is no number at all', async () => {
      const vbd = await setUp({});
      await publish(vbd, 'hello');
      assert.match((await logged(vbd, 'physical-device')).outcome ?? '', /^ignored/);
      await publish(vbd, loop.devnum);
      await logged(vbd, 'opened');
      assert.equal(await bed.tools.text(vbd.errorPath), undefined);
    });

    for (const [value, error] of [
      ['12@7:0', '-1 reading physical-device'],
      ['0:0', '2 creating vbd structure'],
      ['103:ffff', '2 creating vbd structure'],
    ] as const) {
      it(`fails on ${value}, and takes a better number later`, async () => {
        const vbd = await setUp({});
        await publish(vbd, value);
        await waitState(bed.tools, vbd, '5');
        assert.equal(await bed.tools.text(vbd.errorPath), error);
        await publish(vbd, loop.devnum);
        await logged(vbd, 'opened');
        assert.equal(await node(vbd, 'state'), '5');
        await deleteVbd(bed.tools, vbd);
        await logged(vbd, 'closed');
        assert.equal(await bed.tools.text(vbd.errorPath), error, 'the error outlives the backend');
      });
    }

    it('fails where there is no mode', async () => {
      const vbd = await setUp({}, { omit: ['mode'] });
      await publish(vbd, loop.devnum);
      await waitState(bed.tools, vbd, '5');
      assert.equal(await bed.tools.text(vbd.errorPath), '2 reading mode');
    });

    it('hides the cause of a failed open', async () => {
      const vbd = await setUp({ failOpen: 16 });
      await publish(vbd, loop.devnum);
      await waitState(bed.tools, vbd, '5');
      assert.equal(await bed.tools.text(vbd.errorPath), '2 creating vbd structure');
      assert.equal((await logged(vbd, 'failed')).errno, 16);
    });

    it('can be late: what the number names then is what it opens', async () => {
      const vbd = await setUp({ delayMs: 150 });
      await publish(vbd, loop.devnum);
      const seen = await logged(vbd, 'physical-device');
      const opened = await logged(vbd, 'opened');
      assert.ok(opened.time - seen.time >= 149, `${opened.time - seen.time} ms`);
    });

    it('can ignore its device, or the vbd altogether', async () => {
      const vbd = await setUp({ noOpen: true });
      await publish(vbd, loop.devnum);
      await closeVbd(bed.tools, vbd);
      await logged(vbd, 'removed');
      assert.equal(openings(vbd), 0);
      await bed.restartBlkback({ noProbe: true });
      const unseen = await createVbd(bed.tools, { frontend: 8, devid: 51712, params: loop.path });
      await bed.tools.write({ [`${unseen.backendPath}/physical-device`]: loop.devnum });
      assert.equal(await node(unseen, 'state'), '1');
      assert.ok(!existsSync(sysfs(unseen)));
    });

    it('never opens another device once it has one', async () => {
      const vbd = await setUp({});
      await publish(vbd, loop.devnum);
      await logged(vbd, 'opened');
      await publish(vbd, '7:ffff');
      const { outcome } = await bed.blkback.waitFor((line) => line.value === '7:ffff');
      assert.equal(outcome, 'ignored: open already');
      assert.equal(openings(vbd), 1);
    });
  });

  describe('a blkback with the diskseq series', () => {
    const guise = 'diskseq';

    it('announces itself, and opens the disk with the right number', async () => {
      const vbd = await setUp({ guise });
      assert.equal(await node(vbd, 'opened'), '0');
      await publish(vbd, loop.devnum, hex());
      assert.equal((await logged(vbd, 'opened')).bytes, MARKER);
      await waitNode(bed.tools, `${vbd.backendPath}/opened`, '1');
      assert.equal(readFileSync(sysfs(vbd, 'physical_device'), 'utf8'), `${loop.devnum}\n`);
    });

    it('takes the number inline as well', async () => {
      const vbd = await setUp({ guise });
      await publish(vbd, `${hex()}@${loop.devnum}`);
      await logged(vbd, 'opened');
    });

    for (const inline of [false, true]) {
      it(`refuses another disk, its number ${inline ? 'inline' : 'in a node'}`, async () => {
        const vbd = await setUp({ guise });
        if (inline) await publish(vbd, `${wrongHex()}@${loop.devnum}`);
        else await publish(vbd, loop.devnum, wrongHex());
        assert.equal((await logged(vbd, 'refused')).diskseq, loop.diskseq);
        await waitState(bed.tools, vbd, '5');
        assert.equal(await bed.tools.text(vbd.errorPath), '19 creating vbd structure');
        assert.equal(await node(vbd, 'opened'), '0');
        assert.ok(!existsSync(sysfs(vbd, 'physical_device')));
      });
    }

    for (const malformed of ['0x1', '01', 'AB', '', '12345678901234567']) {
      it(`fails on the number ${JSON.stringify(malformed)}`, async () => {
        const vbd = await setUp({ guise });
        await publish(vbd, loop.devnum, malformed);
        await waitState(bed.tools, vbd, '5');
        assert.equal(await bed.tools.text(vbd.errorPath), '22 reading diskseq');
        assert.equal(openings(vbd), 0);
      });
    }
  });

  describe('the end of a vbd', () => {
    async function opened(behaviour: BlkbackBehaviour = {}): Promise<Vbd> {
      const vbd = await setUp(behaviour);
      await publish(vbd, loop.devnum);
      await logged(vbd, 'opened');
      // From here on only blkback holds the loop device, and its close clears it.
      await loop.detach();
      return vbd;
    }

    it('takes the sysfs entry first and closes later', async () => {
      const vbd = await opened({ holdClose: true });
      await closeVbd(bed.tools, vbd);
      await logged(vbd, 'removed');
      assert.ok(!existsSync(sysfs(vbd)));
      assert.equal(await node(vbd, 'state'), '6');
      assert.deepEqual(loopsOf(bed.images), [loop.path]);
      bed.blkback.kill('SIGUSR2');
      await logged(vbd, 'closed');
      assert.deepEqual(loopsOf(bed.images), []);
    });

    it('comes with the end of the backend directory', async () => {
      const vbd = await opened();
      await bed.tools.remove(vbd.backendPath);
      await logged(vbd, 'closed');
      assert.equal(await bed.tools.exists(vbd.backendPath), false);
    });

    it('comes with the end of a directory above', async () => {
      const vbd = await opened();
      await bed.tools.remove('backend/vbd');
      await logged(vbd, 'closed');
    });

    it('comes with the end of the frontend, and is answered', async () => {
      const vbd = await opened();
      await bed.tools.write({ [`${vbd.backendPath}/state`]: '5' });
      await bed.tools.remove(vbd.frontendPath);
      await logged(vbd, 'closed');
      assert.equal(await node(vbd, 'state'), '6');
    });

    it('does not come when the guest reboots', async () => {
      const vbd = await opened();
      await setFrontendState(bed.tools, vbd, 4);
      await waitState(bed.tools, vbd, '4');
      assert.equal(await node(vbd, 'sectors'), '2048');
      await setFrontendState(bed.tools, vbd, 6);
      await waitState(bed.tools, vbd, '6');
      await setFrontendState(bed.tools, vbd, 1);
      await waitState(bed.tools, vbd, '2');
      assert.deepEqual(loopsOf(bed.images), [loop.path]);
      assert.equal(openings(vbd), 1);
    });

    it('is that of one instance: the same path made anew is another vbd', async () => {
      const vbd = await opened({ holdClose: true });
      const end = logged(vbd, 'removed');
      await deleteVbd(bed.tools, vbd);
      const again = await newVbd();
      const probe = await logged(again, 'probe', await end);
      bed.blkback.kill('SIGUSR2');
      await logged(vbd, 'closed');
      loop = await attachLoop(makeImage(bed.images, { marker: 'the next disk' }));
      await publish(again, loop.devnum);
      assert.equal((await logged(again, 'opened', probe)).bytes, 'the next disk');
    });

    it('during a late open never brings the backend back', async () => {
      const vbd = await setUp({ guise: 'diskseq', hold: true });
      await publish(vbd, loop.devnum, hex());
      await logged(vbd, 'physical-device');
      await deleteVbd(bed.tools, vbd);
      bed.blkback.kill('SIGUSR1');
      // The driver was not told in time: it opens, and closes at once.
      await logged(vbd, 'opened');
      await logged(vbd, 'closed');
      assert.equal(await bed.tools.exists(vbd.backendPath), false);
    });

    it('is that of all vbds when blkback ends', async () => {
      await opened();
      await bed.restartBlkback();
      assert.deepEqual(loopsOf(bed.images), []);
    });
  });

  describe("Xen's own block script", () => {
    it('adds a file and removes it', async function () {
      this.slow(5000);
      bed = await startBed({ guise: 'stock' });
      const file = makeImage(bed.images, { marker: MARKER });
      const vbd = await createVbd(bed.tools, { frontend: 7, devid: 51712, params: file });
      await waitInitWait(bed.tools, vbd);
      assert.equal((await runXenBlock(bed, vbd, 'add')).status, 0);
      assert.equal((await logged(vbd, 'opened')).bytes, MARKER);
      assert.equal(await node(vbd, 'hotplug-status'), 'connected');
      assert.equal(loopsOf(bed.images).length, 1);
      await closeVbd(bed.tools, vbd);
      await waitState(bed.tools, vbd, '6');
      await logged(vbd, 'closed');
      assert.equal((await runXenBlock(bed, vbd, 'remove')).status, 0);
      assert.deepEqual(loopsOf(bed.images), []);
    });
  });
});
