import assert from 'node:assert/strict';
import { pause } from '../../../src/util/retry.js';
import { runClient } from '../../bed/daemon.js';
import { within } from '../../bed/deadline.js';
import { needs } from '../../bed/needs.js';
import { CLI, startProgram } from '../../bed/script.js';
import { setFrontendState, type Vbd, waitState } from '../../bed/toolstack.js';
import { withDaemon } from './with-daemon.js';

const INITIALISED = 3;

describe('The events of a guest', function () {
  this.timeout(60_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  it('tell that it connects, also before the add has ended, and nothing that it does not do', () =>
    withDaemon({}, async (fixture, daemon) => {
      const running = startProgram(process.execPath, [CLI, 'events', '--json'], daemon.env);
      let said = '';
      running.process.stdout?.on('data', (text: string) => {
        said += text;
      });
      const events = (): { devid: number; action: string; state: string }[] =>
        said
          .split('\n')
          .slice(0, -1)
          .map((line) => JSON.parse(line));
      await within(10_000, 'the snapshot', async () => {
        while (!said.includes('complete')) await pause(20);
      });
      const vbds: Vbd[] = [];
      for (let times = 0; times < 10; times++) {
        const vbd = await fixture.create(fixture.image());
        vbds.push(vbd);
        // The guest runs, and waits for the disk that it is given.
        await setFrontendState(fixture.store, vbd, INITIALISED);
        assert.equal((await runClient(daemon.env, vbd, 'add')).status, 0);
        await waitState(fixture.store, vbd, '4');
      }
      await pause(200);
      running.process.kill('SIGINT');
      await running.ended;
      const told = events()
        .filter(({ action }) => action === 'guest')
        .map(({ devid, state }) => `7/${devid} ${state}`);
      assert.deepEqual(
        told,
        vbds.map(({ key }) => `${key} 4`),
      );
    }));
});
