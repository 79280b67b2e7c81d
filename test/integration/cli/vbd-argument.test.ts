import assert from 'node:assert/strict';
import { needs } from '../../bed/needs.js';
import { withFixture } from './cli-bed.js';

describe('A vbd on the command line', function () {
  this.timeout(60_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  it('is a backend path, its end, the name in the guest, or the guest where it has one disk', () =>
    withFixture(async (fixture) => {
      const vbd = await fixture.vbd(fixture.image());
      for (const name of [
        vbd.backendPath,
        `/local/domain/0/${vbd.backendPath}`,
        '7/51712',
        '7/xvda',
        '7',
      ]) {
        const { status, stdout, stderr } = await fixture.cli(['show', name, '--json']);
        assert.deepEqual([status, stderr], [0, ''], name);
        assert.equal(JSON.parse(stdout).backend, vbd.backendPath);
      }
    }));

  it('is found by the guest also where its nodes are gone', () =>
    withFixture(async (fixture) => {
      const vbd = await fixture.vbd(fixture.image());
      await fixture.attach(vbd);
      await fixture.blkback.hold('events', vbd.key);
      await fixture.store.remove(vbd.backendPath);
      const { status, stdout } = await fixture.cli(['show', '7', '--json']);
      assert.equal(status, 0);
      assert.deepEqual(
        [JSON.parse(stdout).backend, JSON.parse(stdout)['nodes-gone']],
        [vbd.backendPath, true],
      );
    }));

  it('is refused with what there is where it names none, or more than one', () =>
    withFixture(async (fixture) => {
      await fixture.create('/a');
      await fixture.create('/b', { devid: 51728, dev: 'xvdb' });
      for (const [name, says] of [
        ['7', /guest 7 has 2 vbds, name one: xvda \(7\/51712\), xvdb \(7\/51728\)\n$/],
        ['7/xvdz', /guest 7 has no vbd xvdz of this domain: it has xvda \(7\/51712\), xvdb/],
        ['8', /guest 8 has no vbd of this domain\n$/],
        ['8/xvda', /guest 8 has no vbd of this domain\n$/],
        ['7/../8', /"7\/\.\.\/8" is no backend path of a vbd/],
      ] as const) {
        const { status, stdout, stderr } = await fixture.cli(['show', name]);
        assert.deepEqual([status, stdout], [2, ''], name);
        assert.match(stderr, says);
      }
    }));
});
