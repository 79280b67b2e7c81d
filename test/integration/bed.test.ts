import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { fileExists, within } from '../bed/deadline.js';
import { needs } from '../bed/needs.js';
import { closeVbd, createVbd, deleteVbd, waitNode, waitState } from '../bed/toolstack.js';
import { BedFixture, MARKER } from './bed-fixture.js';

describe('host bed', () => {
  let fixture: BedFixture;

  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  afterEach(() => fixture?.[Symbol.asyncDispose]());

  describe('a stock blkback', () => {
    it('opens the device by its number and says so in sysfs only', async () => {
      fixture = await BedFixture.start({ guise: 'stock' });
      const vbd = await fixture.vbd({ mode: 'r' });
      assert.ok(existsSync(fixture.sysfs(vbd)));
      assert.ok(!existsSync(fixture.sysfs(vbd, 'physical_device')));
      await fixture.publish(vbd, fixture.loop.devnum, fixture.wrongDiskseq);
      await within(5000, 'physical_device', (signal) =>
        fileExists(fixture.sysfs(vbd, 'physical_device'), signal),
      );
      const { dev, diskseq, bytes, size, mode } = await fixture.logged(vbd, 'opened');
      assert.deepEqual(
        { dev, diskseq, bytes, size, mode },
        {
          dev: fixture.loop.devnum,
          diskseq: fixture.loop.diskseq,
          bytes: MARKER,
          size: 1024 * 1024,
          mode: 'r',
        },
      );
      assert.equal(
        readFileSync(fixture.sysfs(vbd, 'physical_device'), 'utf8'),
        `${fixture.loop.devnum}\n`,
      );
      assert.equal(await fixture.node(vbd, 'opened'), undefined);
      assert.equal(await fixture.node(vbd, 'state'), '2');
    });

    it('honours a physical-device that is there from the start', async () => {
      fixture = await BedFixture.start();
      const extra = { 'physical-device': fixture.loop.devnum };
      const vbd = await fixture.vbd({ devid: 51728, extra });
      await fixture.logged(vbd, 'opened');
    });

    for (const write of [
      (devnum: string) => `${devnum} junk`,
      (devnum: string) => `0x${devnum.replace(':', ':0x')}`,
      (devnum: string) => ` ${devnum.toUpperCase()}`,
    ]) {
      it(`reads ${write('7:a')} as the driver's sscanf would`, async () => {
        fixture = await BedFixture.start();
        const vbd = await fixture.vbd();
        await fixture.publish(vbd, write(fixture.loop.devnum));
        assert.equal((await fixture.logged(vbd, 'opened')).diskseq, fixture.loop.diskseq);
      });
    }

    it('waits on where there is no number at all', async () => {
      fixture = await BedFixture.start();
      const vbd = await fixture.vbd();
      await fixture.publish(vbd, 'hello');
      assert.match((await fixture.logged(vbd, 'physical-device')).outcome ?? '', /^ignored/);
      await fixture.publish(vbd, fixture.loop.devnum);
      await fixture.logged(vbd, 'opened');
      assert.equal(await fixture.bed.tools.text(vbd.errorPath), undefined);
    });

    for (const [value, error] of [
      ['12@7:0', '-1 reading physical-device'],
      ['0:0', '2 creating vbd structure'],
      ['103:ffff', '2 creating vbd structure'],
    ] as const) {
      it(`fails on ${value}, and takes a better number later`, async () => {
        fixture = await BedFixture.start();
        const vbd = await fixture.vbd();
        await fixture.publish(vbd, value);
        await waitState(fixture.bed.tools, vbd, '5');
        assert.equal(await fixture.bed.tools.text(vbd.errorPath), error);
        await fixture.publish(vbd, fixture.loop.devnum);
        await fixture.logged(vbd, 'opened');
        assert.equal(await fixture.node(vbd, 'state'), '5');
        await deleteVbd(fixture.bed.tools, vbd);
        await fixture.logged(vbd, 'closed');
        assert.equal(
          await fixture.bed.tools.text(vbd.errorPath),
          error,
          'the error outlives the backend',
        );
      });
    }

    it('fails where there is no mode', async () => {
      fixture = await BedFixture.start();
      const vbd = await fixture.vbd({ omit: ['mode'] });
      await fixture.publish(vbd, fixture.loop.devnum);
      await waitState(fixture.bed.tools, vbd, '5');
      assert.equal(await fixture.bed.tools.text(vbd.errorPath), '2 reading mode');
    });

    it('hides the cause of a failed open', async () => {
      fixture = await BedFixture.start({ failOpen: 16 });
      const vbd = await fixture.vbd();
      await fixture.publish(vbd, fixture.loop.devnum);
      await waitState(fixture.bed.tools, vbd, '5');
      assert.equal(await fixture.bed.tools.text(vbd.errorPath), '2 creating vbd structure');
      assert.equal((await fixture.logged(vbd, 'failed')).errno, 16);
    });

    it('can be late: what the number names then is what it opens', async () => {
      fixture = await BedFixture.start({ delayMs: 150 });
      const vbd = await fixture.vbd();
      await fixture.publish(vbd, fixture.loop.devnum);
      const seen = await fixture.logged(vbd, 'physical-device');
      const opened = await fixture.logged(vbd, 'opened');
      assert.ok(opened.time - seen.time >= 149, `${opened.time - seen.time} ms`);
    });

    it('can ignore its device, or the vbd altogether', async () => {
      fixture = await BedFixture.start({ noOpen: true });
      const vbd = await fixture.vbd();
      await fixture.publish(vbd, fixture.loop.devnum);
      await closeVbd(fixture.bed.tools, vbd);
      await fixture.logged(vbd, 'removed');
      assert.equal(fixture.openings(vbd), 0);
      await fixture.bed.restartBlkback({ noProbe: true });
      const unseen = await createVbd(fixture.bed.tools, {
        frontend: 8,
        devid: 51712,
        params: fixture.loop.path,
      });
      await fixture.bed.tools.write({
        [`${unseen.backendPath}/physical-device`]: fixture.loop.devnum,
      });
      assert.equal(await fixture.node(unseen, 'state'), '1');
      assert.ok(!existsSync(fixture.sysfs(unseen)));
    });

    it('never opens another device once it has one', async () => {
      fixture = await BedFixture.start();
      const vbd = await fixture.vbd();
      await fixture.publish(vbd, fixture.loop.devnum);
      await fixture.logged(vbd, 'opened');
      await fixture.publish(vbd, '7:ffff');
      const { outcome } = await fixture.bed.blkback.waitFor((line) => line.value === '7:ffff');
      assert.equal(outcome, 'ignored: open already');
      assert.equal(fixture.openings(vbd), 1);
    });
  });

  describe('a blkback with the diskseq series', () => {
    const guise = 'diskseq';

    it('announces itself, and opens the disk with the right number', async () => {
      fixture = await BedFixture.start({ guise });
      const vbd = await fixture.vbd();
      assert.equal(await fixture.node(vbd, 'opened'), '0');
      await fixture.publish(vbd, fixture.loop.devnum, fixture.diskseq);
      assert.equal((await fixture.logged(vbd, 'opened')).bytes, MARKER);
      await waitNode(fixture.bed.tools, `${vbd.backendPath}/opened`, '1');
      assert.equal(
        readFileSync(fixture.sysfs(vbd, 'physical_device'), 'utf8'),
        `${fixture.loop.devnum}\n`,
      );
    });

    it('takes the number inline as well', async () => {
      fixture = await BedFixture.start({ guise });
      const vbd = await fixture.vbd();
      await fixture.publish(vbd, `${fixture.diskseq}@${fixture.loop.devnum}`);
      await fixture.logged(vbd, 'opened');
    });

    for (const inline of [false, true]) {
      it(`refuses another disk, its number ${inline ? 'inline' : 'in a node'}`, async () => {
        fixture = await BedFixture.start({ guise });
        const vbd = await fixture.vbd();
        if (inline) await fixture.publish(vbd, `${fixture.wrongDiskseq}@${fixture.loop.devnum}`);
        else await fixture.publish(vbd, fixture.loop.devnum, fixture.wrongDiskseq);
        assert.equal((await fixture.logged(vbd, 'refused')).diskseq, fixture.loop.diskseq);
        await waitState(fixture.bed.tools, vbd, '5');
        assert.equal(await fixture.bed.tools.text(vbd.errorPath), '19 creating vbd structure');
        assert.equal(await fixture.node(vbd, 'opened'), '0');
        assert.ok(!existsSync(fixture.sysfs(vbd, 'physical_device')));
      });
    }

    for (const malformed of ['0x1', '01', 'AB', '', '12345678901234567']) {
      it(`fails on the number ${JSON.stringify(malformed)}`, async () => {
        fixture = await BedFixture.start({ guise });
        const vbd = await fixture.vbd();
        await fixture.publish(vbd, fixture.loop.devnum, malformed);
        await waitState(fixture.bed.tools, vbd, '5');
        assert.equal(await fixture.bed.tools.text(vbd.errorPath), '22 reading diskseq');
        assert.equal(fixture.openings(vbd), 0);
      });
    }
  });
});
