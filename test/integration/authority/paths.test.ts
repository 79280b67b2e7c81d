import assert from 'node:assert/strict';
import { only } from '../../bed/assertions.js';
import { startBed } from '../../bed/bed.js';
import { runClient, startDaemon } from '../../bed/daemon.js';
import { needs } from '../../bed/needs.js';
import { openStore } from '../../bed/store.js';
import { HotplugFixture } from '../hotplug/fixture.js';
import { GUISES, withGround } from './ground.js';

const OURS = '/local/domain/0/';
/** The client cannot fall back to the one-shot program without Node. */
const WITHOUT_NODE = { PATH: '/nonexistent' };

describe('A vbd by its relative and by its absolute path', function () {
  this.timeout(60_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  for (const guise of GUISES) {
    for (const kind of ['file', 'disk'] as const) {
      it(
        `is one: two adds of a ${kind} at once attach it once (${guise} blkback)`,
        withGround(kind, { guise }, async (fixture, { path }) => {
          const vbd = await fixture.vbd(path);
          const paths = [vbd.backendPath, `${OURS}${vbd.backendPath}`];
          const runs = await Promise.all(paths.map((one) => fixture.script(one, 'add')));
          assert.deepEqual(
            runs.map(({ status, stderr }) => [status, stderr]),
            [
              [0, ''],
              [0, ''],
            ],
          );
          only(fixture.events(vbd, 'opened'));
          if (kind === 'file') only(fixture.loops());
          assert.ok(fixture.records().length <= 1);
        }),
      );
    }

    it(`is one job of the daemon, whoever asks for which (${guise} blkback)`, async () => {
      await using bed = await startBed({ guise, hold: true });
      await using store = await openStore(bed);
      await using daemon = await startDaemon(bed, '--verbose');
      const fixture = new HotplugFixture(bed, store);
      const vbd = await fixture.vbd(fixture.image(), { script: '/etc/xen/scripts/other' });
      const env = { ...daemon.env, ...WITHOUT_NODE };
      const absolute = { ...vbd, backendPath: `${OURS}${vbd.backendPath}` };
      const clients = [vbd, absolute].map((one) => runClient(env, one, 'add'));
      await fixture.logged(vbd, 'physical-device');
      // Both requests arrive before blkback opens the device.
      const late = [absolute, vbd].map((one) => runClient(env, one, 'add'));
      fixture.blkback.kill('SIGUSR1');
      for (const { status, stderr } of await Promise.all([...clients, ...late])) {
        assert.deepEqual([status, stderr], [0, '']);
      }
      only(fixture.events(vbd, 'opened'));
      // The daemon may write its log after its answer.
      await daemon.says(/7\/51712: attached:/);
      const steps = [...daemon.said().matchAll(/7\/51712: (\w+):/g)].map((match) => match[1]);
      only(steps.filter((step) => step === 'planned'));
      only(steps.filter((step) => step === 'attached'));
      await fixture.close(vbd);
      const ends = await Promise.all([absolute, vbd].map((one) => runClient(env, one, 'remove')));
      assert.deepEqual(
        ends.map(({ status }) => status),
        [0, 0],
      );
      await fixture.delete(vbd);
      fixture.assertNothingLeft();
    });
  }

  it('is refused where it is that of another domain, by script, command and daemon', async () => {
    await using bed = await startBed({});
    await using store = await openStore(bed);
    await using daemon = await startDaemon(bed);
    const fixture = new HotplugFixture(bed, store);
    const own = await fixture.vbd(fixture.image(), { script: '/etc/xen/scripts/other' });
    // The vbd has the same numbers in the directory of a driver domain.
    const other = `/local/domain/5/${own.backendPath}`;
    for (const [node, value] of Object.entries(await fixture.directory(own))) {
      await store.write(`${other}/${node}`, value ?? '');
    }
    const before = await fixture.directory(own);
    for (const action of ['add', 'remove']) {
      const script = await fixture.script(other, action, { XEN_BLKBACK_TIMEOUT: '5' });
      const vbd = { ...own, backendPath: other };
      const client = await runClient({ ...daemon.env, ...WITHOUT_NODE }, vbd, action);
      for (const { status, stderr } of [script, client]) {
        assert.equal(status, 1, `${action}: ${stderr}`);
        assert.match(stderr, /^xen-blkback: [^\n]*\/local\/domain\/5\/[^\n]*domain[^\n]*\n$/);
      }
      const json = await fixture.cli([action, other, '--json', '--timeout', '5']);
      assert.equal(json.status, 2);
      assert.equal(JSON.parse(json.stdout).error.code, 'EVBD');
    }
    assert.deepEqual(await fixture.directory(own), before);
    assert.deepEqual(fixture.loops(), []);
  });
});
