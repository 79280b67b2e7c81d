import assert from 'node:assert/strict';
import { join } from 'node:path';
import { pause } from '../../../src/util/retry.js';
import { runClient, startDaemon, startDaemonProgram } from '../../bed/daemon.js';
import { attachLoop } from '../../bed/images.js';
import { dmsetup, linear } from '../../bed/mapper.js';
import { needs } from '../../bed/needs.js';
import { built } from '../../bed/paths.js';
import { CLI, startProgram } from '../../bed/script.js';
import { beginHangingWrite, settled, withMapper } from '../mapper/bench.js';

/** The client cannot fall back without Node. */
const WITHOUT_NODE = { PATH: '/nonexistent' };

describe('A layer that device-mapper makes when its add has given up', () => {
  before(function () {
    needs(this, 'root', 'loop', 'xenstored', 'mapper');
  });

  it(
    'is removed again, also if nobody removes the vbd',
    withMapper({}, async (fixture) => {
      const args = [CLI, 'daemon', '--timeout', '2'];
      await using daemon = await startDaemonProgram(fixture.bed, process.execPath, args, {
        LD_PRELOAD: built('fail-ioctl.so'),
        FAIL_REQUEST: 'c138fd03',
        DELAY_MS: '3000',
      });
      const vbd = await fixture.vbd(`path=${fixture.image()},layer=linear`);
      await daemon.says(/add failed: .*DM_DEV_CREATE/);
      await pause(2500);
      // A device without a table is not in sysfs.
      await settled(async () => assert.doesNotMatch(await dmsetup('ls'), /xenvbd-/));
      await fixture.delete(vbd);
    }),
  );
});

describe('A daemon that device-mapper does not answer', () => {
  before(function () {
    needs(this, 'root', 'loop', 'xenstored', 'mapper');
  });

  it(
    'says so instead of waiting for ever',
    withMapper({}, async (fixture) => {
      const { ended, process: daemon } = startProgram(process.execPath, [CLI, 'daemon'], {
        ...fixture.bed.env,
        XEN_BLKBACK_SOCKET: join(fixture.bed.directory, 'other.sock'),
        LD_PRELOAD: built('fail-ioctl.so'),
        FAIL_REQUEST: 'c138fd02',
        DELAY_MS: '20000',
      });
      await pause(9000);
      daemon.kill('SIGTERM');
      const { stderr } = await ended;
      assert.match(
        stderr,
        /device-mapper has not told within 5 s which layers are left: .*DM_LIST/,
      );
    }),
  );
});

describe('A mapper device that is suspended for good, and another program that waits for it', () => {
  before(function () {
    needs(this, 'root', 'loop', 'xenstored', 'mapper');
  });

  it(
    'hold up no add of another file, disk or mapper device, and no end of the daemon',
    withMapper({}, async (fixture, bench) => {
      const bottom = await bench.linear('bottom');
      const top = await bench.mapped('bench-top', linear(bottom.kernelPath));
      const other = await bench.linear('other');
      await using disk = await attachLoop(fixture.image());
      await using daemon = await startDaemon(fixture.bed, '--timeout', '10');
      await dmsetup('suspend', '--noflush', '--nolockfs', bottom.name);
      await using _resumed = {
        [Symbol.asyncDispose]: async () => void (await dmsetup('resume', bottom.name)),
      };
      const { written } = await beginHangingWrite(top.kernelPath);
      // This suspend waits for the write, and cannot be killed.
      const waiting = dmsetup('suspend', top.name);
      for (const params of [
        fixture.image(),
        disk.path,
        other.kernelPath,
        `path=${fixture.image()},layer=linear`,
      ]) {
        for (const add of params === disk.path ? ['daemon', 'one-shot'] : ['daemon']) {
          const vbd = await fixture.vbd(params, { script: '/etc/xen/scripts/another' });
          const { status, stderr, milliseconds } =
            add === 'daemon'
              ? await runClient({ ...daemon.env, ...WITHOUT_NODE }, vbd, 'add')
              : await fixture.script(vbd, 'add');
          assert.equal(status, 0, `${params}: ${stderr}`);
          assert.ok(milliseconds < 8000, `${params}: ${milliseconds} ms`);
          await fixture.delete(vbd);
        }
      }
      const started = performance.now();
      daemon.kill('SIGTERM');
      assert.equal(await daemon.child.ended, 'exited with status 0');
      assert.ok(performance.now() - started < 10_000);
      await dmsetup('resume', bottom.name);
      await Promise.all([written, waiting]);
      await dmsetup('resume', top.name);
    }),
  );
});
