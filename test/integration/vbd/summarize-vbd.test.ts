import assert from 'node:assert/strict';
import { startBed } from '../../bed/bed.js';
import { loopsLeft } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { openStore } from '../../bed/store.js';
import { HotplugFixture, MARKER } from '../hotplug/fixture.js';

describe('list, show and wait', function () {
  this.timeout(30_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  async function withFixture(
    guise: 'stock' | 'diskseq',
    body: (fixture: HotplugFixture) => Promise<void>,
  ): Promise<void> {
    await using bed = await startBed({ guise });
    await using store = await openStore(bed);
    const fixture = new HotplugFixture(bed, store);
    await body(fixture);
    await store.remove('backend/vbd');
    assert.deepEqual(await loopsLeft(bed.images), []);
  }

  for (const [guise, by] of [
    ['stock', 'sysfs'],
    ['diskseq', 'key'],
  ] as const) {
    it(`tell an attached vbd from one that is not, by ${by}`, () =>
      withFixture(guise, async (fixture) => {
        await fixture.store.write('/local/domain/7/name', 'work');
        const image = fixture.image();
        const vbd = await fixture.vbd(image);
        const other = await fixture.vbd('/nonexistent\u001b[2J');
        const { publication } = await fixture.attach(vbd);
        assert.ok(publication);
        await fixture.attach(other).catch(() => undefined);

        const listed = JSON.parse((await fixture.cli(['list', '--json'])).stdout);
        const [attached, failed] = listed.vbds;
        assert.deepEqual(
          [attached.backend, attached.domid, attached.domain, attached.vdev, attached.mode],
          [vbd.backendPath, 7, 'work', 'xvda', 'w'],
        );
        assert.deepEqual(
          [attached.target, attached.device, attached.opened, attached['opened-by']],
          [image, publication['physical-device-path'], true, by],
        );
        assert.equal(BigInt(attached.diskseq), BigInt(`0x${publication.diskseq}`));
        assert.equal(attached['present-diskseq'], attached.diskseq);
        assert.equal(attached.error, null);
        assert.deepEqual([failed.opened, failed.device, failed.diskseq], [false, null, null]);
        assert.match(failed.error, /no such file/);

        const table = await fixture.cli(['list']);
        const lines = table.stdout.trimEnd().split('\n');
        assert.equal(lines.length, 4, table.stdout);
        assert.match(lines[1] ?? '', new RegExp(`^7/51712 +work +xvda +w .*yes \\(${by}\\)`));
        assert.ok(!table.stdout.includes('\u001b'));

        const shown = await fixture.cli(['show', vbd.key]);
        assert.match(shown.stdout, new RegExp(`^opened by blkback +yes \\(${by}\\)$`, 'm'));
        for (const row of [
          'script +/etc/xen/scripts/block-diskseq',
          'size +\\d+ bytes, in blocks of 512',
        ]) {
          assert.match(shown.stdout, new RegExp(`^${row}$`, 'm'));
        }
        assert.match(shown.stdout, /^frontend state +\d \(\w+\)$/m);
        assert.equal((await fixture.cli(['wait', vbd.key, '--opened'])).status, 0);
      }));
  }

  it('show that the device is another by now', () =>
    withFixture('stock', async (fixture) => {
      const vbd = await fixture.vbd(fixture.image());
      const { publication } = await fixture.attach(vbd);
      assert.ok(publication);
      await fixture.store.write(`${vbd.backendPath}/diskseq`, '1');
      const { stdout } = await fixture.cli(['show', vbd.key]);
      const now = BigInt(`0x${publication.diskseq}`);
      assert.match(stdout, new RegExp(`^diskseq +1 \\(now ${now}\\)$`, 'm'));
    }));

  it('list nothing where there is nothing, and show no vbd that does not exist', () =>
    withFixture('stock', async (fixture) => {
      const { status, stdout } = await fixture.cli(['list']);
      assert.deepEqual([status, stdout.split('\n').length], [0, 2]);
      assert.equal((await fixture.cli(['list', '--json'])).stdout, '{"version":1,"vbds":[]}\n');
      const missing = await fixture.cli(['show', '9/1']);
      assert.deepEqual([missing.status, missing.stdout], [1, '']);
      assert.match(missing.stderr, /there is no backend backend\/vbd\/9\/1/);
    }));

  it('wait for an attach that comes later, for its end, and not for ever', () =>
    withFixture('stock', async (fixture) => {
      const vbd = await fixture.vbd(fixture.image(MARKER));
      const late = await fixture.cli(['wait', vbd.key, '--opened', '--timeout', '0.5']);
      assert.equal(late.status, 1);
      assert.match(late.stderr, /not open after 0\.5 s, waiting for .*physical-device\n$/);
      const waiting = fixture.cli(['wait', vbd.key, '--opened', '--json']);
      await fixture.attach(vbd);
      assert.deepEqual(JSON.parse((await waiting).stdout)['opened-by'], 'sysfs');
      const other = await fixture.vbd(fixture.image());
      const hopeless = fixture.cli(['wait', other.key, '--opened']);
      await fixture.delete(other);
      const { status, stderr } = await hopeless;
      assert.equal(status, 1);
      assert.match(stderr, /was removed|no backend/);
    }));
});
