import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { failure } from '../../bed/assertions.js';
import { attachLoop } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { built } from '../../bed/paths.js';
import { changeLoopFile } from '../block/loop/loop-changes.js';
import { type HotplugFixture, MARKER, on } from './fixture.js';

interface Answer {
  readonly FAIL_ERRNO: string;
  readonly FAIL_OPEN?: string;
  readonly FAIL_REQUEST?: string;
  readonly FAIL_OPENAT2?: string;
}

/** Returns the message of the script where the kernel gives this answer. */
async function sentence(fixture: HotplugFixture, target: string, answer: Answer): Promise<string> {
  const vbd = await fixture.vbd(target);
  const env = { LD_PRELOAD: built('fail-ioctl.so'), ...answer };
  const { status, stderr } = await fixture.script(vbd, 'add', env);
  assert.equal(status, 1);
  assert.deepEqual(fixture.events(vbd, 'physical-device', 'opened'), []);
  assert.equal(await fixture.node(vbd, 'hotplug-status'), 'error');
  const error = await fixture.node(vbd, 'hotplug-error');
  assert.ok(error !== undefined && stderr.includes(error), stderr);
  return error;
}

describe('What the kernel answers', () => {
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  for (const [errno, reason, meaning] of [
    [30, 'read-only file system (EROFS)', 'its driver refuses'],
    [124, 'wrong medium type (EMEDIUMTYPE)', 'in a state'],
    [123, 'no medium found (ENOMEDIUM)', 'no medium in the drive'],
    [1, 'operation not permitted (EPERM)', 'device cgroup'],
    [13, 'permission denied (EACCES)', 'security module'],
  ] as const) {
    it(
      `is told with its reason when it refuses to open a disk: ${reason}`,
      on({}, async (fixture) => {
        await using loop = await attachLoop(fixture.image());
        const answer = { FAIL_OPEN: loop.path, FAIL_ERRNO: String(errno) };
        const said = await sentence(fixture, loop.path, answer);
        for (const part of [loop.path, reason, meaning]) assert.ok(said.includes(part), said);
        assert.doesNotMatch(said, /use mode r/);
      }),
    );
  }

  for (const [errno, reason, meaning] of [
    [1, 'operation not permitted (EPERM)', 'immutable'],
    [13, 'permission denied (EACCES)', 'root_squash'],
    [5, 'input/output error (EIO)', ''],
  ] as const) {
    it(
      `is told with its reason when it refuses to open a file: ${reason}`,
      on({}, async (fixture) => {
        const image = fixture.image();
        const answer = { FAIL_OPEN: image, FAIL_ERRNO: String(errno) };
        const said = await sentence(fixture, image, answer);
        for (const part of [image, reason, meaning]) assert.ok(said.includes(part), said);
        assert.doesNotMatch(said, /use mode r/);
      }),
    );
  }

  for (const [errno, name] of [
    [22, 'EINVAL'],
    [25, 'ENOTTY'],
  ] as const) {
    it(
      `shows that it is older than Linux 5.15, which is said once (${name})`,
      on({}, async (fixture) => {
        // The requests are LOOP_CONFIGURE and BLKGETDISKSEQ.
        const answer = { FAIL_REQUEST: '4c0a,80081280', FAIL_ERRNO: String(errno) };
        await using loop = await attachLoop(fixture.image());
        for (const [target, call] of [
          [fixture.image(), 'LOOP_CONFIGURE'],
          [loop.path, 'BLKGETDISKSEQ'],
        ] as const) {
          const said = await sentence(fixture, target, answer);
          assert.equal(said.match(/Linux 5\.15 or later is needed/g)?.length, 1, said);
          assert.ok(said.includes(call), said);
          assert.doesNotMatch(said, /invalid argument/);
        }
      }),
    );
  }

  it(
    'is said where it does not know openat2, which symlinks=no needs and nothing else',
    on({}, async (fixture) => {
      const answer = { FAIL_OPENAT2: '1', FAIL_ERRNO: '38' };
      const image = fixture.image();
      const said = await sentence(fixture, `path=${image},symlinks=no`, answer);
      for (const part of [image, 'symlinks=no', 'openat2']) assert.ok(said.includes(part), said);
      const env = { LD_PRELOAD: built('fail-ioctl.so'), ...answer };
      const vbd = await fixture.vbd(image);
      assert.equal((await fixture.script(vbd, 'add', env)).status, 0);
    }),
  );

  it(
    'is not taken for an old kernel where only the one call fails',
    on({}, async (fixture) => {
      const answer = { FAIL_REQUEST: '4c0a', FAIL_ERRNO: '22' };
      assert.match(await sentence(fixture, fixture.image(), answer), /LOOP_CONFIGURE.*EINVAL/);
    }),
  );
});

describe('A disk whose sequence number rises on its own', () => {
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  /**
   * Attaches a loop device whose diskseq rises after each of the first `times` opens. Returns the
   * number of opens.
   */
  async function attachRising(fixture: HotplugFixture, times: number): Promise<number> {
    const image = fixture.image(MARKER);
    // After the exchanges, the diskseq of the device is another, so `loop.detach` would not detach
    // it.
    const loop = await attachLoop(image, { readOnly: true });
    const vbd = await fixture.vbd(loop.path, { mode: 'r' });
    let opens = 0;
    let done: Promise<void> = Promise.resolve();
    const attached = fixture.attach(vbd, {
      onStep: (step) => {
        // The kernel exchanges the file of an open loop device only if it is read-only. Here the
        // file is exchanged for itself.
        if (step === 'opened' && opens++ < times) done = changeLoopFile(loop.path, image);
      },
      uses: {
        list: async () => {
          await done;
          return [];
        },
      },
    });
    try {
      await attached;
      await fixture.assertConnected(vbd, loop.path);
    } finally {
      await fixture.delete(vbd);
      spawnSync('losetup', ['--detach', loop.path]);
    }
    return opens;
  }

  it(
    'is opened again until the number stays',
    on({}, async (fixture) => {
      assert.equal(await attachRising(fixture, 2), 3);
    }),
  );

  it(
    'is given up after some tries, with a sentence that says what goes on',
    on({}, async (fixture) => {
      const error = await failure('ENEWMEDIUM', attachRising(fixture, 1000));
      assert.match(error.message, /new disk sequence number.*card readers/);
    }),
  );
});
