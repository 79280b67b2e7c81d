import assert from 'node:assert/strict';
import { VbdJobs } from '../../../src/daemon/vbd-jobs.js';
import { startBed } from '../../bed/bed.js';
import { runClient } from '../../bed/daemon.js';
import { loopsLeft } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { openStore } from '../../bed/store.js';
import { createVbd, deleteVbd, waitInitWait } from '../../bed/toolstack.js';
import { withTransactions } from '../../store/with-transactions.js';
import { HotplugFixture, parse } from '../hotplug/fixture.js';
import { withDaemon } from './with-daemon.js';

/** The client cannot fall back without Node, so it is the daemon that answers. */
const WITHOUT_NODE = { PATH: '/nonexistent' };

describe('The daemon, asked for an add once more', function () {
  this.timeout(60_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  for (const guise of ['stock', 'diskseq'] as const) {
    it(`fails as the script does where blkback has closed the vbd, ${guise} blkback`, () =>
      withDaemon({ guise }, async (fixture, daemon, bed) => {
        const vbd = await fixture.vbd(fixture.image());
        const env = { ...daemon.env, ...WITHOUT_NODE };
        assert.equal((await runClient(env, vbd, 'add')).status, 0);
        assert.equal((await runClient(env, vbd, 'add')).status, 0);
        await fixture.close(vbd);
        await fixture.logged(vbd, 'closed');
        assert.deepEqual(await loopsLeft(bed.images), []);
        const [asked, alone] = [
          await runClient(env, vbd, 'add'),
          await fixture.script(vbd, 'add', { XEN_BLKBACK_SOCKET: '/nonexistent/socket' }),
        ];
        assert.equal(asked.status, 1);
        assert.deepEqual([asked.status, asked.stderr], [alone.status, alone.stderr]);
        assert.equal((await runClient(env, vbd, 'remove')).status, 0);
      }));
  }

  it('fails for an empty drive that is closed', () =>
    withDaemon({}, async (fixture, daemon) => {
      const drive = { mode: 'r', extra: { 'device-type': 'cdrom' } };
      const vbd = await fixture.vbd('', drive);
      const env = { ...daemon.env, ...WITHOUT_NODE };
      assert.equal((await runClient(env, vbd, 'add')).status, 0);
      assert.equal((await runClient(env, vbd, 'add')).status, 0);
      await fixture.close(vbd);
      const asked = await runClient(env, vbd, 'add');
      assert.equal(asked.status, 1);
      assert.match(asked.stderr, /state 6 \(Closed\)/);
    }));

  it('attaches a vbd that was made anew while the add of the one before was ending', async () => {
    await using bed = await startBed();
    await using store = await openStore(bed);
    const fixture = new HotplugFixture(bed, store);
    const vbd = await fixture.vbd(fixture.image());
    const path = parse(vbd);
    let asked: Promise<unknown> | undefined;
    const late = withTransactions(store, async (transact, steps) => {
      const outcome = await transact();
      if (asked === undefined && steps.some(({ path }) => path.endsWith('/hotplug-status'))) {
        await deleteVbd(store, vbd);
        await fixture.logged(vbd, 'removed');
        const disk = { frontend: path.domid, devid: path.devid };
        await createVbd(store, { ...disk, params: fixture.image('disk anew') });
        await waitInitWait(store, vbd);
        asked = jobs.add(path);
      }
      return outcome;
    });
    const { runDirectory, blkback } = bed;
    const options = { timeoutMs: 5000, uapi: 'key', sysfs: blkback.sysfs, runDirectory } as const;
    const jobs = new VbdJobs(late, options);
    await jobs.add(path);
    await asked;
    assert.equal(fixture.events(vbd, 'opened').at(-1)?.bytes, 'disk anew');
  });
});
