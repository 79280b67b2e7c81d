import assert from 'node:assert/strict';
import { only } from '../../bed/assertions.js';
import { effort } from '../../bed/effort.js';
import { needs } from '../../bed/needs.js';
import { waitNode } from '../../bed/toolstack.js';
import { MARKER, type VbdChange } from '../hotplug/fixture.js';
import { withDaemon } from './with-daemon.js';

const CDROM: VbdChange = { mode: 'r', extra: { 'device-type': 'cdrom' } };

describe('The daemon, for media that are put into a CD-ROM drive', function () {
  this.timeout(120_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  it('attaches a medium after one that could not be attached, ejected or not', () =>
    withDaemon({}, async (fixture) => {
      for (const isEjected of [true, false]) {
        const vbd = await fixture.vbd('', CDROM);
        const put = (params: string): Promise<void> =>
          fixture.store.write(`${vbd.backendPath}/params`, params);
        const told = (status: string): Promise<void> =>
          waitNode(fixture.store, `${vbd.backendPath}/hotplug-status`, status);
        await told('connected');
        await put('/nonexistent/bad.iso');
        await told('error');
        if (isEjected) {
          await put('');
          await told('connected');
          assert.equal(await fixture.node(vbd, 'hotplug-error'), undefined);
        }
        await put(fixture.image(MARKER));
        assert.equal((await fixture.logged(vbd, 'opened')).bytes, MARKER);
        await told('connected');
        await fixture.assertConnected(vbd, only(fixture.loops()));
        await fixture.close(vbd);
        await fixture.delete(vbd);
      }
    }));

  it('attaches a medium that is put in as soon as the drive is reported', () =>
    withDaemon({}, async (fixture) => {
      const image = fixture.image(MARKER);
      for (let times = 0; times < effort(100, 20); times++) {
        const vbd = await fixture.vbd('', CDROM);
        await waitNode(fixture.store, `${vbd.backendPath}/hotplug-status`, 'connected');
        await fixture.store.write(`${vbd.backendPath}/params`, image);
        assert.equal((await fixture.logged(vbd, 'opened')).bytes, MARKER);
        assert.equal(fixture.events(vbd, 'opened').length, 1);
        await fixture.close(vbd);
        await fixture.delete(vbd);
      }
    }));
});
