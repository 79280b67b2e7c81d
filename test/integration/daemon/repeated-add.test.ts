import assert from 'node:assert/strict';
import { runClient } from '../../bed/daemon.js';
import { loopsLeft } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
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
});
