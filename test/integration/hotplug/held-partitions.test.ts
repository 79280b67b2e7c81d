import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { failure } from '../../bed/assertions.js';
import { needs } from '../../bed/needs.js';
import { type HotplugFixture, on } from './fixture.js';

const run = promisify(execFile);
/** The time limit of a remove that is held up. */
const HELD = { timeoutMs: 1500 };

/**
 * Keeps a partition open until it is disposed, and gives the text by which a message has to name
 * it.
 */
type Keep = (
  fixture: HotplugFixture,
  partition: string,
) => Promise<AsyncDisposable & { name: RegExp }>;

const mounted: Keep = async (fixture, partition) => {
  const directory = join(fixture.bed.images, 'mounted');
  mkdirSync(directory);
  await run('mke2fs', ['-q', '-F', partition]);
  await run('mount', [partition, directory]);
  return {
    name: new RegExp(`is still held by the mount ${directory}`),
    [Symbol.asyncDispose]: async () => {
      await run('umount', [directory]);
    },
  };
};

const opened: Keep = async (_fixture, partition) => {
  const fd = openSync(partition, 'r');
  const program = spawn('sleep', ['1000'], { stdio: [fd, 'ignore', 'ignore'] });
  await once(program, 'spawn');
  closeSync(fd);
  const closed = once(program, 'close');
  return {
    name: new RegExp(`is still held by process ${program.pid} \\(sleep\\)`),
    [Symbol.asyncDispose]: async () => {
      program.kill('SIGKILL');
      await closed;
    },
  };
};

describe('A remove of a loop device of which a partition is in use here', function () {
  this.timeout(60_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  for (const [what, keep] of [
    ['mounted', mounted],
    ['open in a program', opened],
  ] as const) {
    it(
      `names who has it: ${what}`,
      on({}, async (fixture) => {
        const vbd = await fixture.vbd(fixture.image('a disk', { size: 1024 * 1024 }));
        const { publication } = await fixture.attach(vbd);
        assert.ok(publication);
        const loop = publication['physical-device-path'];
        await run('addpart', [loop, '1', '0', '1024']);
        const keeper = await keep(fixture, `${loop}p1`);
        try {
          await fixture.close(vbd);
          const error = await failure('EHELD', fixture.detach(vbd, HELD));
          assert.match(error.message, keeper.name);
          // The guest can read this node, and the mounts and programs of this domain do not concern
          // the guest.
          const told = await fixture.node(vbd, 'hotplug-error');
          assert.match(told ?? '', /^vbd 51712: its device is still open/);
        } finally {
          await keeper[Symbol.asyncDispose]();
          await run('delpart', [loop, '1']).catch(() => undefined);
        }
        await fixture.detach(vbd);
      }),
    );
  }
});
