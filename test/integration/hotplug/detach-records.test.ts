import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pause } from '../../../src/util/retry.js';
import { only } from '../../bed/assertions.js';
import { attachLoop, sysfsAttribute } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { on, parse } from './fixture.js';
import { hold } from './holder.js';

describe('detach', () => {
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  it(
    'needs no record of a disk that the toolstack gave',
    on({}, async (fixture) => {
      await using loop = await attachLoop(fixture.image());
      const vbd = await fixture.vbd(loop.path);
      await fixture.attach(vbd);
      assert.deepEqual(fixture.records(), []);
      await fixture.close(vbd);
      await fixture.detach(vbd);
      fixture.assertNothingLeft(loop);
    }),
  );

  describe('of a loop device that does not clear itself', () => {
    it(
      'unbinds it while blkback is still about to close it',
      on({ closeDelayMs: 200 }, async (fixture) => {
        const vbd = await fixture.vbd(`path=${fixture.image()},autoclear=no`);
        await fixture.attach(vbd);
        await fixture.close(vbd);
        await fixture.detach(vbd);
        assert.equal(fixture.events(vbd, 'closed').length, 1);
        fixture.assertNothingLeft();
      }),
    );

    it(
      'leaves a device alone that is another one by now',
      on({}, async (fixture) => {
        const vbd = await fixture.vbd(`path=${fixture.image()},autoclear=no`);
        await using loop = await attachLoop(fixture.image());
        const record = {
          backend: vbd.backendPath,
          device: sysfsAttribute(loop.path, 'dev'),
          diskseq: String(BigInt(loop.diskseq) - 1n),
          path: loop.path,
          unbind: true,
        };
        const name = `vbd-${vbd.key.replace('/', '-')}.json`;
        writeFileSync(join(fixture.bed.runDirectory, name), JSON.stringify(record));
        await fixture.detach(vbd);
        fixture.assertNothingLeft(loop);
      }),
    );

    it(
      'succeeds where somebody else has unbound it',
      on({}, async (fixture) => {
        const vbd = await fixture.vbd(`path=${fixture.image()},autoclear=no`);
        await fixture.attach(vbd);
        await using holder = await hold(only(fixture.loops()));
        await fixture.delete(vbd);
        const { status } = await new Promise<{ status: number | null }>((resolve) => {
          spawn('losetup', ['--detach', only(fixture.loops())]).once('exit', (code) =>
            resolve({ status: code }),
          );
        });
        assert.equal(status, 0);
        await holder.end();
        await fixture.detach(vbd);
        fixture.assertNothingLeft();
      }),
    );

    it(
      'reports no failure to a vbd that has been made anew meanwhile',
      on({}, async (fixture) => {
        const vbd = await fixture.vbd(`path=${fixture.image()},autoclear=no`);
        await fixture.attach(vbd);
        await using holder = await hold(only(fixture.loops()));
        await fixture.delete(vbd);
        const detached = fixture.detach(vbd, { timeoutMs: 1500 });
        detached.catch(() => undefined);
        await pause(500);
        const anew = await fixture.vbd(fixture.image(), { devid: parse(vbd).devid });
        await fixture.store.write(`${anew.backendPath}/hotplug-status`, 'connected');
        await assert.rejects(detached, { code: 'EHELD' });
        const status = await fixture.store.read(`${anew.backendPath}/hotplug-status`);
        assert.equal(status.toString(), 'connected');
        await holder.end();
        await fixture.delete(anew);
        await fixture.detach(anew);
      }),
    );
  });

  for (const damage of [
    '',
    'no JSON',
    '{}',
    '{"device":"7:0","diskseq":"x","path":"/dev/loop0"}',
  ]) {
    it(
      `succeeds with a record that says ${JSON.stringify(damage)}, and takes it away`,
      on({}, async (fixture) => {
        const vbd = await fixture.vbd(fixture.image());
        await fixture.attach(vbd);
        await fixture.close(vbd);
        const name = `vbd-${vbd.key.replace('/', '-')}.json`;
        writeFileSync(join(fixture.bed.runDirectory, name), damage);
        writeFileSync(join(fixture.bed.runDirectory, `${name}.new`), damage);
        await fixture.detach(vbd);
        fixture.assertNothingLeft();
      }),
    );
  }
});
