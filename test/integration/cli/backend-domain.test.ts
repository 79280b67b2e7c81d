import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { pause } from '../../../src/util/retry.js';
import { startBed } from '../../bed/bed.js';
import { startDaemon } from '../../bed/daemon.js';
import { within } from '../../bed/deadline.js';
import { assertSchema } from '../../bed/json-schema.js';
import { needs } from '../../bed/needs.js';
import { CLI, type Run, startProgram } from '../../bed/script.js';
import { openStore } from '../../bed/store.js';
import { HotplugFixture } from '../hotplug/fixture.js';
import { withFixture } from './cli-bed.js';

const ROOT = '/local/domain/5/backend/vbd';
const SENTENCE = 'open /srv/missing.img: no such file or directory';
/** What a toolstack may lose after a failure in a driver domain. */
const A_SECOND = 1000;

/** What libxl writes for a disk that domain 5 is to serve. */
async function create(fixture: HotplugFixture, key: string, nodes: Record<string, string> = {}) {
  const [domid] = key.split('/');
  const usual = {
    frontend: `/local/domain/${domid}/device/vbd/${key}`,
    'frontend-id': String(domid),
    params: '/srv/a.img',
    mode: 'w',
    dev: 'xvda',
    online: '1',
    state: '2',
  };
  await write(fixture, key, { ...usual, ...nodes });
}

/** What blkback and the daemon of domain 5 write. */
async function write(fixture: HotplugFixture, key: string, nodes: Record<string, string>) {
  await fixture.store.transact(
    Object.entries(nodes).map(([name, value]) => ({
      op: 'write',
      path: `${ROOT}/${key}/${name}`,
      value,
    })),
  );
}

const ATTACHED = {
  'physical-device': '7:3',
  'physical-device-path': '/dev/loop3',
  diskseq: '1f',
  'hotplug-status': 'connected',
  state: '4',
};
const FAILED = { 'hotplug-error': SENTENCE, 'hotplug-status': 'error' };

/** Runs `happen` once a command watches the vbd, and tells how long it then went on. */
async function meanwhile(
  fixture: HotplugFixture,
  key: string,
  running: Promise<Run>,
  happen: () => Promise<unknown>,
): Promise<Run & { readonly after: number }> {
  const watched = new RegExp(` WATCH \\S*${ROOT}/${key} `);
  await within(20_000, `a watch of ${key}`, async () => {
    while (!watched.test(readFileSync(fixture.bed.xenstored.tracePath, 'utf8'))) await pause(20);
  });
  await happen();
  const since = performance.now();
  return { ...(await running), after: performance.now() - since };
}

/** A fixture whose xenstored tells what it is asked. */
async function withTracedFixture(body: (fixture: HotplugFixture) => Promise<void>): Promise<void> {
  await using bed = await startBed({}, { trace: true });
  await using store = await openStore(bed);
  await body(new HotplugFixture(bed, store));
}

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
      // Its device numbers are no devices of this machine.
      const [, attached] = all;
      assert.deepEqual(
        [attached?.device, attached?.devnum, attached?.diskseq, attached?.['present-diskseq']],
        ['/dev/loop3', '7:3', '31', null],
      );
      assert.equal((await json('--backend-domain', '5')).length, 2);
      assert.equal((await json('--backend-domain', '0')).length, 1);
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

  it('are waited for, and the wait ends with the sentence of that domain within a second', () =>
    withTracedFixture(async (fixture) => {
      const wait = (key: string, ...words: string[]) =>
        fixture.cli(['wait', key, '--backend-domain', '5', '--json', ...words]);
      await create(fixture, '8/51712');
      const failed = await meanwhile(fixture, '8/51712', wait('8/51712', '--opened'), () =>
        write(fixture, '8/51712', FAILED),
      );
      assert.equal(failed.status, 1);
      assert.match(failed.stderr, new RegExp(`domain 5 could not attach 8/51712: ${SENTENCE}`));
      assert.equal(JSON.parse(failed.stdout).error.code, 'EATTACH');
      assert.ok(failed.after < A_SECOND, `${failed.after} ms`);
      // A failure that is there already.
      assert.equal((await wait('8/xvda')).status, 1);

      await create(fixture, '9/51712');
      const attached = await meanwhile(fixture, '9/51712', wait('9/51712'), () =>
        write(fixture, '9/51712', ATTACHED),
      );
      assert.equal(attached.status, 0, attached.stderr);
      assert.deepEqual(
        [(assertSchema('wait', attached.stdout) as Record<string, unknown>)['opened-by']],
        ['hotplug-status'],
      );
      assert.ok(attached.after < A_SECOND, `${attached.after} ms`);
      // That its script is done is not that its blkback has the device.
      await write(fixture, '9/51712', { opened: '0' });
      assert.equal((await wait('9/51712', '--timeout', '1.5')).status, 1);
      await write(fixture, '9/51712', { opened: '1' });
      assert.equal(JSON.parse((await wait('9/51712')).stdout)['opened-by'], 'key');
    }));

  it('are waited for in vain where that blkback refuses, they go away, or nobody serves them', () =>
    withTracedFixture(async (fixture) => {
      const wait = (key: string, ...words: string[]) =>
        fixture.cli(['wait', key, '--backend-domain', '5', ...words]);
      await create(fixture, '8/51712');
      const refused = await meanwhile(fixture, '8/51712', wait('8/51712'), async () => {
        const error = '/local/domain/5/error/backend/vbd/8/51712/error';
        await fixture.store.write(error, '2 creating vbd structure');
        await write(fixture, '8/51712', { state: '5' });
      });
      assert.equal(refused.status, 1);
      assert.match(refused.stderr, /blkback of domain 5 serves no .*: 2 creating vbd structure/);
      await create(fixture, '9/51712');
      const gone = await meanwhile(fixture, '9/51712', wait('9/51712'), () =>
        fixture.store.remove(`${ROOT}/9`),
      );
      assert.equal(gone.status, 1);
      assert.match(gone.stderr, /there is no .*9\/51712 in XenStore, or no more/);
      assert.ok(gone.after < A_SECOND, `${gone.after} ms`);
      await create(fixture, '9/51728');
      const late = await wait('9/51728', '--timeout', '1.5');
      assert.equal(late.status, 1);
      assert.match(late.stderr, /is the hotplug daemon of domain 5 running\?/);
    }));

  it('are waited for with --closed until they are closed, or gone', () =>
    withTracedFixture(async (fixture) => {
      await create(fixture, '8/51712', ATTACHED);
      const words = ['wait', '8/51712', '--backend-domain', '5', '--closed'];
      const late = await fixture.cli([...words, '--timeout', '1.5']);
      assert.match(late.stderr, /is not closed after 1\.5 s: the guest has not let go of it/);
      const closed = await meanwhile(fixture, '8/51712', fixture.cli(words), () =>
        write(fixture, '8/51712', { state: '6' }),
      );
      assert.equal(closed.status, 0, closed.stderr);
      await fixture.store.remove(ROOT);
      assert.equal((await fixture.cli(words)).status, 0);
    }));

  it('are followed by events, with a snapshot first, and no daemon here', () =>
    withFixture(async (fixture) => {
      await fixture.store.write('/local/domain/9/name', 'work');
      await create(fixture, '8/51712', ATTACHED);
      const program = [CLI, 'events', '--backend-domain', '5', '--json'];
      const running = startProgram(process.execPath, program, fixture.bed.env);
      let said = '';
      running.process.stdout?.on('data', (text) => {
        said += text;
      });
      const says = (word: string): Promise<void> =>
        within(10_000, word, async () => {
          while (!said.includes(`"${word}"`)) await pause(20);
        });
      await says('complete');
      await create(fixture, '9/51712');
      await says('planned');
      await write(fixture, '9/51712', FAILED);
      await says('failed');
      await write(fixture, '8/51712', { state: '5' });
      await says('guest');
      await fixture.store.remove(`${ROOT}/8`);
      await says('removed');
      running.process.kill('SIGINT');
      const { status, stdout, stderr } = await running.ended;
      assert.equal(status, 0, stderr);
      const events = stdout
        .trimEnd()
        .split('\n')
        .map((line) => assertSchema('event', line) as Record<string, unknown>);
      assert.deepEqual(
        events.map(({ seq, backend, action, step, detail }) => [
          seq,
          backend,
          action,
          step,
          detail,
        ]),
        [
          [0, `${ROOT}/8/51712`, 'snapshot', 'attached', 'state 4 (Connected)'],
          [0, null, 'snapshot', 'complete', '1 vbds'],
          [1, `${ROOT}/9/51712`, 'add', 'planned', '/srv/a.img'],
          [2, `${ROOT}/9/51712`, 'add', 'failed', SENTENCE],
          [3, `${ROOT}/8/51712`, 'guest', 'state', '5 (Closing)'],
          [4, `${ROOT}/8/51712`, 'remove', 'removed', 'its nodes are gone'],
        ],
      );
      assert.deepEqual(
        [events[3]?.code, events[3]?.domain, events[3]?.['backend-domid']],
        ['EATTACH', 'work', 5],
      );
    }));

  it('are followed by events --all, beside those of this domain', () =>
    withFixture(async (fixture) => {
      await fixture.store.write('/local/domain/5/name', 'disks');
      await using daemon = await startDaemon(fixture.bed);
      const running = startProgram(process.execPath, [CLI, 'events', '--all', '-v'], daemon.env);
      const said = { stdout: '', stderr: '' };
      for (const name of ['stdout', 'stderr'] as const) {
        running.process[name]?.on('data', (text) => {
          said[name] += text;
        });
      }
      await within(10_000, 'it to follow both', async () => {
        while (said.stderr.split('following').length < 3) await pause(20);
      });
      // Its first disk makes its backend directory.
      await create(fixture, '8/51712', FAILED);
      await fixture.vbd(fixture.image());
      await within(10_000, 'both to be told', async () => {
        while (!/ attached/.test(said.stdout) || !/ failed/.test(said.stdout)) await pause(20);
      });
      running.process.kill('SIGINT');
      assert.equal((await running.ended).status, 0);
      assert.match(said.stdout, /Z {2}7\/51712 +add +attached +\/dev\/loop/);
      assert.match(said.stdout, /Z {2}5:8\/51712 +add +failed +open \/srv\/missing\.img/);
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
