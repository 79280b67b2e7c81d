import assert from 'node:assert/strict';
import { failure } from '../../bed/assertions.js';
import { attachLoop } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import type { Vbd } from '../../bed/toolstack.js';
import { type HotplugFixture, on } from './fixture.js';

const TIMEOUT_MS = 1500;

/** Runs `body` while fork(2) fails for want of memory. Node.js throws that error at once. */
async function withoutMemory(body: () => Promise<void>): Promise<void> {
  const processes = process.getBuiltinModule('node:child_process');
  const { spawn } = processes;
  processes.spawn = () => {
    throw Object.assign(new Error('spawn ENOMEM'), { code: 'ENOMEM', syscall: 'spawn' });
  };
  try {
    await body();
  } finally {
    processes.spawn = spawn;
  }
}

describe('Where no process can be started', function () {
  this.timeout(30_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  for (const kind of ['file', 'disk'] as const) {
    it(
      `an add of a ${kind} that blkback does not answer tells its error, and keeps nothing open`,
      on({ noOpen: true }, async (fixture) => {
        await using disk = await attachLoop(fixture.image());
        const vbd = await fixture.vbd(kind === 'file' ? fixture.image() : disk.path);
        await withoutMemory(async () => {
          const error = await failure('ETIMEDOUT', fixture.attach(vbd, { timeoutMs: TIMEOUT_MS }));
          assert.equal(await fixture.node(vbd, 'hotplug-error'), error.message);
        });
        assert.deepEqual(fixture.loops(), [disk.path]);
        await fixture.delete(vbd);
      }),
    );
  }

  /** Has an add killed after its publication, before blkback has opened the device. */
  async function killAdd(fixture: HotplugFixture, params: string): Promise<Vbd> {
    const vbd = await fixture.vbd(params);
    const killed = fixture.startScript(vbd, 'add');
    await fixture.published(vbd);
    killed.process.kill('SIGKILL');
    await killed.ended;
    return vbd;
  }

  it(
    'a remove does not take a disk back that blkback may still open',
    on({ noOpen: true }, async (fixture) => {
      await using disk = await attachLoop(fixture.image());
      const vbd = await killAdd(fixture, disk.path);
      await withoutMemory(async () => {
        await failure('ELOCK', fixture.detach(vbd));
      });
      assert.equal(await fixture.node(vbd, 'physical-device'), disk.devnum);
      await fixture.detach(vbd);
      assert.equal(await fixture.node(vbd, 'physical-device'), undefined);
      await fixture.delete(vbd);
    }),
  );
});
