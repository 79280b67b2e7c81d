import assert from 'node:assert/strict';
import { pause } from '../../../src/util/retry.js';
import { startDaemon } from '../../bed/daemon.js';
import { within } from '../../bed/deadline.js';
import { assertSchema } from '../../bed/json-schema.js';
import { needs } from '../../bed/needs.js';
import { CLI, startProgram } from '../../bed/script.js';
import { withFixture } from './cli-bed.js';
import { ATTACHED, create, FAILED, ROOT, SENTENCE, write } from './driver-domain.js';

describe('The vbds of a driver domain, seen from here', function () {
  this.timeout(60_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

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
      // The first disk of domain 5 makes the backend directory of that domain.
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
});
