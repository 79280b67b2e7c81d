import assert from 'node:assert/strict';
import { pause } from '../../../src/util/retry.js';
import { needs } from '../../bed/needs.js';
import { withFixture } from './cli-bed.js';

/** This limit is far below the time limit of the command, which is 30 s. */
const AT_ONCE_MS = 5000;

describe('xen-blkback wait', function () {
  this.timeout(60_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  it('ends at once with the sentence of an add that has failed', () =>
    withFixture(async (fixture) => {
      const vbd = await fixture.vbd('/nonexistent/image');
      await fixture.attach(vbd).catch(() => undefined);
      const { status, stderr, milliseconds } = await fixture.cli(['wait', vbd.key]);
      assert.equal(status, 1);
      assert.match(stderr, /the add of .* has failed: open \/nonexistent\/image: no such file/);
      assert.ok(milliseconds < AT_ONCE_MS, `${milliseconds} ms`);
    }));

  it('ends with it when the add fails while it waits, and tells a disk in use by its status', () =>
    withFixture(async (fixture) => {
      const image = fixture.image();
      await fixture.attach(await fixture.vbd(image));
      const second = await fixture.vbd(image, { frontend: 8 });
      const waiting = fixture.cli(['wait', second.key, '--opened', '--json']);
      await pause(500);
      await fixture.attach(second).catch(() => undefined);
      const { status, stdout, milliseconds } = await waiting;
      assert.equal(status, 3);
      assert.equal(JSON.parse(stdout).error.code, 'EBUSY');
      assert.ok(milliseconds < AT_ONCE_MS, `${milliseconds} ms`);
    }));

  it('waits with --closed until blkback has closed the device', () =>
    withFixture(async (fixture) => {
      const vbd = await fixture.vbd(fixture.image());
      const never = await fixture.cli(['wait', vbd.key, '--closed', '--json']);
      assert.deepEqual([never.status, JSON.parse(never.stdout).opened], [0, false]);
      await fixture.attach(vbd);
      const late = await fixture.cli(['wait', vbd.key, '--closed', '--timeout', '0.3']);
      assert.equal(late.status, 1);
      assert.match(late.stderr, /is still open after 0\.3 s: the guest has not let go of it/);
      const waiting = fixture.cli(['wait', vbd.key, '--closed']);
      await pause(300);
      await fixture.delete(vbd);
      assert.equal((await waiting).status, 0);
    }));

  it('refuses both at once', () =>
    withFixture(async (fixture) => {
      const vbd = await fixture.vbd(fixture.image());
      const { status, stderr } = await fixture.cli(['wait', vbd.key, '--closed', '--opened']);
      assert.equal(status, 2);
      assert.match(stderr, /--opened and --closed exclude each other/);
    }));
});
