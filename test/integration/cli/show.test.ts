import assert from 'node:assert/strict';
import { runClient, startDaemon } from '../../bed/daemon.js';
import { assertSchema } from '../../bed/json-schema.js';
import { needs } from '../../bed/needs.js';
import type { Vbd } from '../../bed/toolstack.js';
import { runXenBlock } from '../../bed/xen-block.js';
import type { HotplugFixture } from '../hotplug/fixture.js';
import { withFixture } from './cli-bed.js';

/** What `show` says of who has attached a vbd, and when. */
describe('xen-blkback show, of who attached a vbd', function () {
  this.timeout(60_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  const NOBODY_KNOWS = {
    'attached-at': null,
    'attached-version': null,
    'attached-pid': null,
  };

  async function shown(
    fixture: HotplugFixture,
    vbd: Vbd,
    env: Readonly<Record<string, string>>,
  ): Promise<{ json: Record<string, unknown>; text: string }> {
    const { stdout } = await fixture.cli(['show', vbd.key, '--json'], env);
    const whole = assertSchema('show', stdout);
    const json = Object.fromEntries(
      Object.entries(whole).filter(([name]) => name.startsWith('attached-')),
    );
    const text = (await fixture.cli(['show', vbd.key], env)).stdout;
    return { json, text };
  }

  it('names the daemon and the time, and neither when that daemon has ended', () =>
    withFixture(async (fixture) => {
      const begin = Date.now();
      const { env, vbd, pid } = await (async () => {
        await using daemon = await startDaemon(fixture.bed);
        const vbd = await fixture.vbd(fixture.image());
        assert.equal((await runClient(daemon.env, vbd, 'add')).status, 0);
        const { json, text } = await shown(fixture, vbd, daemon.env);
        assert.equal(json['attached-by'], 'daemon');
        assert.equal(json['attached-pid'], daemon.child.pid);
        assert.match(String(json['attached-version']), /^\d+\.\d+/);
        const at = Date.parse(String(json['attached-at']));
        assert.ok(at >= begin && at <= Date.now(), String(json['attached-at']));
        assert.match(text, /^attached by +the daemon, version \d.*, process \d+$/m);
        assert.match(text, /^attached at +\d{4}-\d\d-\d\dT[\d:.]+Z$/m);
        return { env: daemon.env, vbd, pid: daemon.child.pid };
      })();
      const ended = await shown(fixture, vbd, env);
      assert.deepEqual(ended.json, { 'attached-by': 'xen-blkback', ...NOBODY_KNOWS });
      assert.match(
        ended.text,
        /^attached by +.*one-shot program, or a daemon that does not answer$/m,
      );
      await using next = await startDaemon(fixture.bed);
      assert.notEqual(next.child.pid, pid);
      assert.equal((await runClient(next.env, vbd, 'add')).status, 0);
      const { json, text } = await shown(fixture, vbd, next.env);
      assert.deepEqual(json, { 'attached-by': 'xen-blkback', ...NOBODY_KNOWS });
      assert.match(text, /^attached by +.*one-shot program, or a daemon that ended before 20\d\d/m);
    }));

  it('tells another script from this program, and a vbd without a device from both', () =>
    withFixture(async (fixture) => {
      const waiting = await fixture.vbd(fixture.image());
      const none = await shown(fixture, waiting, {});
      assert.deepEqual(none.json, { 'attached-by': null, ...NOBODY_KNOWS });
      assert.match(none.text, /^attached by +-\nattached at +-$/m);
      const xen = await fixture.vbd(fixture.image(), { script: '/etc/xen/scripts/block' });
      assert.equal((await runXenBlock(fixture.bed, xen, 'add')).status, 0);
      const other = await shown(fixture, xen, {});
      assert.deepEqual(other.json, { 'attached-by': 'other-script', ...NOBODY_KNOWS });
      assert.match(other.text, /^attached by +another script \(\/etc\/xen\/scripts\/block\)$/m);
      await fixture.close(xen);
      await fixture.logged(xen, 'closed');
      assert.equal((await runXenBlock(fixture.bed, xen, 'remove')).status, 0);
    }));
});
