import assert from 'node:assert/strict';
import { assertSchema } from '../../bed/json-schema.js';
import { needs } from '../../bed/needs.js';
import { withFixture } from './cli-bed.js';
import { ATTACHED, create, FAILED, ROOT, SENTENCE } from './driver-domain.js';

describe('The vbds of a driver domain, seen from here', function () {
  this.timeout(60_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  it('are listed beside those of this domain, or alone, with what that domain has written', () =>
    withFixture(async (fixture) => {
      await fixture.attach(await fixture.vbd(fixture.image()));
      await create(fixture, '8/51712', ATTACHED);
      await create(fixture, '9/51712', { ...FAILED, params: '/srv/missing.img' });
      const json = async (...words: string[]) => {
        const { status, stdout, stderr } = await fixture.cli(['list', '--json', ...words]);
        assert.equal(status, 0, stderr);
        return (assertSchema('list', stdout) as { vbds: Record<string, unknown>[] }).vbds;
      };
      assert.deepEqual(
        (await json()).map(({ backend }) => backend),
        ['backend/vbd/7/51712'],
      );
      const all = await json('--all');
      assert.deepEqual(
        all.map((vbd) => [vbd.backend, vbd['backend-domid'], vbd['hotplug-status'], vbd.error]),
        [
          ['backend/vbd/7/51712', null, 'connected', null],
          [`${ROOT}/8/51712`, 5, 'connected', null],
          [`${ROOT}/9/51712`, 5, 'error', SENTENCE],
        ],
      );
      // The device numbers of domain 5 name no devices of this machine.
      const [, attached] = all;
      assert.deepEqual(
        [attached?.device, attached?.devnum, attached?.diskseq, attached?.['present-diskseq']],
        ['/dev/loop3', '7:3', '31', null],
      );
      assert.equal((await json('--backend-domain', '5')).length, 2);
      assert.equal((await json('--backend-domain', '0')).length, 1);
      await fixture.store.write('/local/domain/6/name', 'idle');
      assert.equal((await json('--backend-domain', '6')).length, 0);
      const table = (await fixture.cli(['list', '--all', '--errors'])).stdout.split('\n');
      assert.match(table[0] ?? '', /^BACKEND-DOMAIN +VBD +DOMAIN/);
      assert.match(table[1] ?? '', /^5 +9\/51712 .* error +unknown /);
      assert.equal(table[2], `9/51712: ${SENTENCE}`);
      const sizes = await fixture.cli([
        'list',
        '--backend-domain',
        '5',
        '-n',
        '-o',
        'size,diskseq',
      ]);
      assert.equal(sizes.stdout, '-  31\n-  -\n');
      const both = await fixture.cli(['list', '--all', '--backend-domain', '5']);
      assert.equal(both.status, 2);
      assert.match(both.stderr, /--all and --backend-domain exclude each other/);
    }));

  it('are shown one by one, by number, by name in the guest, and by their whole path', () =>
    withFixture(async (fixture) => {
      await create(fixture, '9/51712', FAILED);
      const there = ['--backend-domain', '5'];
      for (const words of [
        ['9/51712', ...there],
        ['9/xvda', ...there],
        ['9', ...there],
      ]) {
        const { status, stdout } = await fixture.cli(['show', ...words]);
        assert.equal(status, 0, words.join(' '));
        assert.match(stdout, new RegExp(`^backend +${ROOT}/9/51712$`, 'm'));
        assert.match(stdout, new RegExp(`^error +${SENTENCE}$`, 'm'));
      }
      const whole = await fixture.cli(['show', `${ROOT}/9/51712`, '--json']);
      assert.equal((assertSchema('show', whole.stdout) as Record<string, unknown>).error, SENTENCE);
      for (const [status, words, sentence] of [
        [
          1,
          ['9/1', ...there],
          /there is no backend \/local\/domain\/5\/backend\/vbd\/9\/1 in XenSt/,
        ],
        [2, ['9/xvdb', ...there], /guest 9 has no vbd xvdb of domain 5: it has xvda \(9\/51712\)/],
        [2, [`${ROOT}/9/51712`, '--backend-domain', '6'], /the path is one of domain 5/],
        [2, ['9/1', '--backend-domain', 'five'], /backend-domain "five": the number of a domain/],
      ] as const) {
        const run = await fixture.cli(['show', ...words]);
        assert.equal(run.status, status, run.stderr);
        assert.match(run.stderr, sentence);
      }
    }));

  it('are left to their own domain by all else', () =>
    withFixture(async (fixture) => {
      await create(fixture, '8/51712', ATTACHED);
      for (const command of ['add', 'remove', 'resize']) {
        const { status, stderr } = await fixture.cli([command, `${ROOT}/8/51712`]);
        assert.equal(status, 2, command);
        assert.match(
          stderr,
          /is a backend of domain 5, and this is domain 0: run this in domain 5/,
        );
      }
    }));
});
