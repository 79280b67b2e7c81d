import assert from 'node:assert/strict';
import { type Daemon, runClient } from '../../bed/daemon.js';
import { needs } from '../../bed/needs.js';
import { openStore } from '../../bed/store.js';
import type { Vbd } from '../../bed/toolstack.js';
import { withDaemon } from '../daemon/with-daemon.js';
import { HotplugFixture } from '../hotplug/fixture.js';

/** The daemon does not prepare a vbd of this script unasked. */
const UNASKED = { script: '/etc/xen/scripts/another' };

describe('Sharing, by the daemon', function () {
  this.timeout(60_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  /** Asks the daemon. The client cannot fall back without Node in its PATH. */
  const ask = (daemon: Daemon, vbd: Vbd, action = 'add') =>
    runClient({ ...daemon.env, PATH: '/nonexistent' }, vbd, action);

  /** Creates a vbd of a second guest, and asserts that it is refused because of the first guest. */
  async function refused(fixture: HotplugFixture, daemon: Daemon, image: string): Promise<Vbd> {
    const vbd = await fixture.vbd(image, { ...UNASKED, frontend: 9 });
    const { status, stderr } = await ask(daemon, vbd);
    const reason = `${image} is attached read-write to domain 7 as xvda; so domain 9 cannot have it`;
    assert.equal(status, 1);
    assert.ok(stderr.includes(reason), stderr);
    const [told, why] = await fixture.nodes(vbd, 'hotplug-status', 'hotplug-error');
    assert.equal(told, 'busy');
    // The guest can read this node. It learns about no other guest.
    assert.match(
      why ?? '',
      /^vbd \d+: its disk cannot be had read-write, as others use the same bytes/,
    );
    return vbd;
  }

  it('knows at once what others have attached, and what is gone again', () =>
    withDaemon({}, async (fixture, daemon) => {
      for (let round = 0; round < 5; round++) {
        const image = fixture.image();
        const first = await fixture.vbd(image, UNASKED);
        await fixture.attach(first);
        const second = await refused(fixture, daemon, image);
        await fixture.delete(first);
        const { status, stderr } = await ask(daemon, second);
        assert.equal(status, 0, stderr);
        assert.deepEqual(await fixture.nodes(second, 'hotplug-status', 'hotplug-error'), [
          'connected',
          undefined,
        ]);
        await fixture.delete(second);
      }
    }));

  it('tells the toolstack of a vbd that it has prepared unasked, too', () =>
    withDaemon({}, async (fixture, daemon) => {
      const image = fixture.image();
      await fixture.attach(await fixture.vbd(image, UNASKED));
      const vbd = await fixture.vbd(image, { frontend: 9 });
      const { status, stderr } = await ask(daemon, vbd);
      assert.equal(status, 1);
      assert.match(stderr, /attached read-write to domain 7/);
      assert.equal(await fixture.node(vbd, 'hotplug-status'), 'busy');
    }));

  it('knows it all again after xenstored was restarted', () =>
    withDaemon({}, async (fixture, daemon, bed) => {
      await fixture.attach(await fixture.vbd(fixture.image(), UNASKED));
      await using _dead = fixture.store;
      bed.xenstored.kill('SIGKILL');
      await bed.xenstored.restart();
      await bed.restartBlkback();
      await using store = await openStore(bed);
      const later = new HotplugFixture(bed, store);
      const [early, late] = [later.image(), later.image()];
      await later.attach(await later.vbd(early, UNASKED));
      await daemon.says(/: ready/, 2);
      await later.attach(await later.vbd(late, { ...UNASKED, devid: 51728, dev: 'xvda' }));
      await refused(later, daemon, early);
      await later.store.remove('backend/vbd/9');
      await refused(later, daemon, late);
    }));
});
