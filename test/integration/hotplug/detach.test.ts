import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { HotplugError } from '../../../src/hotplug/hotplug-error.js';
import { attachLoop } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { setFrontendState, waitState } from '../../bed/toolstack.js';
import { beforeWriting, diskseqOf, failure, on, only, sysfsAttribute } from './stage.js';

const OURS = [
  'physical-device',
  'physical-device-path',
  'diskseq',
  'hotplug-status',
  'hotplug-error',
];

describe('detach', () => {
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  for (const guise of ['stock', 'diskseq'] as const) {
    describe(`from a ${guise} blkback`, () => {
      it(
        'the script removes a file: nothing is left, neither nodes nor a loop device',
        on({ guise }, async (stage) => {
          const vbd = await stage.vbd(stage.image());
          const before = await stage.directory(vbd);
          await stage.attach(vbd);
          await stage.close(vbd);
          const { status, stdout, stderr } = await stage.script(vbd, 'remove');
          assert.deepEqual({ status, stdout, stderr }, { status: 0, stdout: '', stderr: '' });
          assert.deepEqual(Object.keys(await stage.directory(vbd)), Object.keys(before));
          assert.equal(stage.events(vbd, 'closed').length, 1);
          stage.assertNothingLeft();
        }),
      );

      it(
        'needs no remove: the loop device goes with the nodes',
        on({ guise }, async (stage) => {
          const vbd = await stage.vbd(stage.image());
          await stage.attach(vbd);
          only(stage.loops());
          await stage.delete(vbd);
          stage.assertNothingLeft();
        }),
      );

      it(
        'the script succeeds after the nodes are gone, for a file, a disk, and one kept on purpose',
        on({ guise }, async (stage) => {
          await using loop = await attachLoop(stage.image());
          for (const params of [stage.image(), loop.path, `path=${stage.image()},autoclear=no`]) {
            const vbd = await stage.vbd(params);
            await stage.attach(vbd);
            await stage.delete(vbd);
            const { status, stderr } = await stage.script(vbd, 'remove');
            assert.deepEqual([status, stderr], [0, '']);
            assert.equal(await stage.exists(vbd.backendPath), false, 'it was brought back');
            stage.assertNothingLeft(loop);
          }
        }),
      );

      it(
        'succeeds again, and where nothing was attached, and where there never was a vbd',
        on({ guise }, async (stage) => {
          const vbd = await stage.vbd(stage.image());
          await stage.detach(vbd);
          await stage.attach(vbd);
          await stage.close(vbd);
          await stage.detach(vbd);
          await stage.detach(vbd);
          assert.equal((await stage.script(vbd, 'remove')).status, 0);
          assert.equal((await stage.script('backend/vbd/99/51712', 'remove')).status, 0);
          assert.equal(await stage.exists('backend/vbd/99'), false);
        }),
      );

      it(
        'is refused while the guest uses the disk, and changes nothing',
        on({ guise }, async (stage) => {
          await using loop = await attachLoop(stage.image('a disk'));
          for (const params of [stage.image(), loop.path]) {
            const vbd = await stage.vbd(params);
            await stage.attach(vbd);
            const before = [await stage.directory(vbd), stage.loops(), stage.records()];
            const error = await failure('EONLINE', stage.detach(vbd));
            assert.match(error.message, /online.*open/);
            const { status, stderr } = await stage.script(vbd, 'remove');
            assert.equal(status, 1);
            assert.equal(stderr, `xen-blkback: ${error.message}\n`);
            const {
              'hotplug-error': _,
              'hotplug-status': __,
              ...nodes
            } = before[0] as Record<string, string>;
            const after = await stage.directory(vbd);
            for (const [name, value] of Object.entries(nodes)) assert.equal(after[name], value);
            assert.deepEqual([stage.loops(), stage.records()], before.slice(1));
            assert.deepEqual(stage.events(vbd, 'removed', 'closed'), []);
            await stage.close(vbd);
            await stage.detach(vbd);
          }
        }),
      );

      it(
        'leaves the disk of a guest that reboots',
        on({ guise }, async (stage) => {
          const vbd = await stage.vbd(stage.image());
          await stage.attach(vbd);
          const loop = only(stage.loops());
          const diskseq = diskseqOf(loop);
          await setFrontendState(stage.store, vbd, 4);
          await waitState(stage.store, vbd, '4');
          await setFrontendState(stage.store, vbd, 6);
          await waitState(stage.store, vbd, '6');
          await failure('EONLINE', stage.detach(vbd));
          await setFrontendState(stage.store, vbd, 1);
          await waitState(stage.store, vbd, '2');
          assert.equal((await stage.attach(vbd)).already, true);
          assert.equal(diskseqOf(loop), diskseq);
          assert.equal(stage.events(vbd, 'opened').length, 1);
          await stage.assertConnected(vbd, loop);
        }),
      );

      it(
        'returns no sooner than blkback has really closed the device',
        on({ guise, closeDelayMs: 300 }, async (stage) => {
          const vbd = await stage.vbd(stage.image());
          await stage.attach(vbd);
          await stage.close(vbd);
          await stage.detach(vbd);
          assert.equal(stage.events(vbd, 'closed').length, 1);
          stage.assertNothingLeft();
        }),
      );
    });
  }

  it(
    'attaches anew what was removed',
    on({ guise: 'diskseq' }, async (stage) => {
      const image = stage.image();
      const numbers = new Set<string>();
      for (let i = 0; i < 3; i++) {
        const vbd = await stage.vbd(image, { devid: 51712 });
        await stage.attach(vbd);
        const loop = only(stage.loops());
        numbers.add(diskseqOf(loop));
        await stage.close(vbd);
        await stage.detach(vbd);
        stage.assertNothingLeft();
        // The next one has the same name, and the same log.
        await stage.delete(vbd);
        await stage.bed.restartBlkback();
      }
      assert.equal(numbers.size, 3);
    }),
  );

  it(
    'needs no record of a disk that the toolstack gave',
    on({}, async (stage) => {
      await using loop = await attachLoop(stage.image());
      const vbd = await stage.vbd(loop.path);
      await stage.attach(vbd);
      assert.deepEqual(stage.records(), []);
      await stage.close(vbd);
      await stage.detach(vbd);
      stage.assertNothingLeft(loop);
    }),
  );

  it(
    'leaves what another add has published since it began: that vbd was made anew',
    on({}, async (stage) => {
      const vbd = await stage.vbd(stage.image());
      const add = (): Promise<unknown> => stage.attach(vbd);
      const store = beforeWriting(stage.store, 'physical-device', add, 'remove');
      await stage.detachThrough(store, vbd);
      await stage.assertConnected(vbd, only(stage.loops()));
    }),
  );

  for (const [node, newer] of [
    ['physical-device', '7:c'],
    ['diskseq', '6'],
  ] as const) {
    it(
      `does not take back a publication that is newer than its look, with another ${node}`,
      on({ noOpen: true }, async (stage) => {
        const seen = { 'physical-device': '7:b', diskseq: '5' };
        const vbd = await stage.vbd(stage.image(), { extra: seen });
        const publish = () => stage.store.write(`${vbd.backendPath}/${node}`, newer);
        const store = beforeWriting(stage.store, 'physical-device', publish, 'remove');
        await stage.detachThrough(store, vbd);
        const left = await stage.nodes(vbd, 'physical-device', 'diskseq');
        assert.deepEqual(left, Object.values({ ...seen, [node]: newer }));
      }),
    );
  }

  describe('of a loop device that does not clear itself', () => {
    it(
      'unbinds it while blkback is still about to close it',
      on({ closeDelayMs: 200 }, async (stage) => {
        const vbd = await stage.vbd(`path=${stage.image()},autoclear=no`);
        await stage.attach(vbd);
        await stage.close(vbd);
        await stage.detach(vbd);
        assert.equal(stage.events(vbd, 'closed').length, 1);
        stage.assertNothingLeft();
      }),
    );

    it(
      'leaves a device alone that is another one by now',
      on({}, async (stage) => {
        const vbd = await stage.vbd(`path=${stage.image()},autoclear=no`);
        await using loop = await attachLoop(stage.image());
        const record = {
          backend: vbd.backendPath,
          device: sysfsAttribute(loop.path, 'dev'),
          diskseq: String(BigInt(loop.diskseq) - 1n),
          path: loop.path,
          unbind: true,
        };
        const name = `vbd-${vbd.key.replace('/', '-')}.json`;
        writeFileSync(join(stage.bed.runDirectory, name), JSON.stringify(record));
        await stage.detach(vbd);
        stage.assertNothingLeft(loop);
      }),
    );

    it(
      'succeeds where somebody else has unbound it',
      on({}, async (stage) => {
        const vbd = await stage.vbd(`path=${stage.image()},autoclear=no`);
        await stage.attach(vbd);
        await using holder = await hold(only(stage.loops()));
        await stage.delete(vbd);
        const { status } = await new Promise<{ status: number | null }>((resolve) => {
          spawn('losetup', ['--detach', only(stage.loops())]).once('exit', (code) =>
            resolve({ status: code }),
          );
        });
        assert.equal(status, 0);
        await holder.end();
        await stage.detach(vbd);
        stage.assertNothingLeft();
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
      on({}, async (stage) => {
        const vbd = await stage.vbd(stage.image());
        await stage.attach(vbd);
        await stage.close(vbd);
        const name = `vbd-${vbd.key.replace('/', '-')}.json`;
        writeFileSync(join(stage.bed.runDirectory, name), damage);
        writeFileSync(join(stage.bed.runDirectory, `${name}.new`), damage);
        await stage.detach(vbd);
        stage.assertNothingLeft();
      }),
    );
  }

  for (const value of ['hello', '', '7', 'ffff:0', '0:0']) {
    it(
      `succeeds where physical-device is ${JSON.stringify(value)}`,
      on({ noOpen: true }, async (stage) => {
        const vbd = await stage.vbd(stage.image(), { extra: { 'physical-device': value } });
        await stage.close(vbd);
        await stage.detach(vbd);
        assert.deepEqual(
          await stage.nodes(vbd, ...OURS),
          OURS.map(() => undefined),
        );
      }),
    );
  }

  describe('at the deadline says', () => {
    it(
      'which process has a loop device open, and can be repeated when it is gone',
      on({ guise: 'diskseq' }, async (stage) => {
        const vbd = await stage.vbd(stage.image());
        await stage.attach(vbd);
        const loop = only(stage.loops());
        await using holder = await hold(loop);
        await stage.close(vbd);
        const start = performance.now();
        const error = await failure('EHELD', stage.detach(vbd, { timeoutMs: 800 }));
        assertWithin(start, 800);
        assert.ok(error.message.includes(`process ${holder.pid} (sleep)`), error.message);
        assert.ok(error.message.includes(sysfsAttribute(loop, 'dev')), error.message);
        const { status, stderr } = await stage.script(vbd, 'remove', {
          XEN_BLKBACK_TIMEOUT: '0.8',
        });
        assert.equal(status, 1);
        assert.ok(stderr.includes(`process ${holder.pid} (sleep)`), stderr);
        await holder.end();
        await stage.detach(vbd);
        stage.assertNothingLeft();
      }),
    );

    it(
      'which process has a loop device open that it was to unbind',
      on({}, async (stage) => {
        const vbd = await stage.vbd(`path=${stage.image()},autoclear=no`);
        await stage.attach(vbd);
        await using holder = await hold(only(stage.loops()));
        await stage.delete(vbd);
        const error = await failure('EHELD', stage.detach(vbd, { timeoutMs: 500 }));
        assert.ok(error.message.includes(`process ${holder.pid} (sleep)`), error.message);
        assert.equal(stage.records().length, 1, 'nothing is left to repeat it with');
        await holder.end();
        await stage.detach(vbd);
        stage.assertNothingLeft();
      }),
    );

    it(
      'that this process has it open',
      on({}, async (stage) => {
        const vbd = await stage.vbd(stage.image());
        await stage.attach(vbd);
        const fd = openSync(only(stage.loops()), 'r');
        try {
          await stage.close(vbd);
          const { stderr } = await stage.script(vbd, 'remove', { XEN_BLKBACK_TIMEOUT: '0.8' });
          assert.ok(stderr.includes(`process ${process.pid} (`), stderr);
        } finally {
          closeSync(fd);
        }
        await stage.detach(vbd);
      }),
    );

    it(
      'that blkback has not closed the device yet',
      on({ guise: 'stock', holdClose: true }, async (stage) => {
        const vbd = await stage.vbd(stage.image());
        await stage.attach(vbd);
        await stage.close(vbd);
        await stage.logged(vbd, 'removed');
        const error = await failure('EHELD', stage.detach(vbd, { timeoutMs: 500 }));
        assert.ok(error.message.includes('the kernel (blkback, it seems)'), error.message);
        assert.equal(stage.events(vbd, 'closed').length, 0);
        stage.blkback.kill('SIGUSR2');
        await stage.detach(vbd);
        stage.assertNothingLeft();
      }),
    );

    it(
      'that blkback still has the vbd',
      on({}, async (stage) => {
        const vbd = await stage.vbd(stage.image());
        await stage.attach(vbd);
        // The toolstack has asked for the end, and the guest does not answer.
        await stage.store.write(`${vbd.backendPath}/online`, '0');
        await stage.store.write(`${vbd.backendPath}/state`, '5');
        const start = performance.now();
        const error = await failure('ETIMEDOUT', stage.detach(vbd, { timeoutMs: 500 }));
        assertWithin(start, 500);
        assert.match(error.message, /^blkback still has device 7:[0-9a-f]+ \(hex\) open/);
        only(stage.loops());
      }),
    );
  });

  it(
    'says that it was interrupted, not that its time was up',
    on({}, async (stage) => {
      const vbd = await stage.vbd(stage.image());
      await stage.attach(vbd);
      await stage.store.write(`${vbd.backendPath}/online`, '0');
      const interrupt = new AbortController();
      const reason = new HotplugError('interrupted by SIGTERM', { code: 'ECANCELED' });
      const attempt = stage.detach(vbd, {
        signal: interrupt.signal,
        onStep: (step) => step === 'planned' && interrupt.abort(reason),
      });
      const error = await failure('ECANCELED', attempt);
      assert.match(error.message, /interrupted by SIGTERM/);
      only(stage.loops());
    }),
  );
});

function assertWithin(start: number, timeoutMs: number): void {
  const spent = performance.now() - start;
  assert.ok(spent < timeoutMs + 400, `${spent} ms of ${timeoutMs}`);
}

interface Holder extends AsyncDisposable {
  readonly pid: number;
  end(): Promise<void>;
}

/** A process that has a device open and does nothing with it. */
async function hold(device: string): Promise<Holder> {
  const fd = openSync(device, 'r');
  let child: ChildProcess;
  try {
    child = spawn('sleep', ['60'], { stdio: [fd, 'ignore', 'inherit'] });
    await once(child, 'spawn');
  } finally {
    closeSync(fd);
  }
  const ended = once(child, 'exit');
  const end = async () => {
    child.kill('SIGKILL');
    await ended;
  };
  return { pid: child.pid ?? -1, end, [Symbol.asyncDispose]: end };
}
