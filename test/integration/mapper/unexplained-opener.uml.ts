import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { O_PATH } from '../../../src/linux/fd.js';
import type { UnexplainedUse } from '../../../src/topology/local-use.js';
import { StorageSnapshot } from '../../../src/topology/storage-snapshot.js';
import { findUnexplainedOpener } from '../../../src/topology/unexplained-openers.js';
import { linear, type Mapped } from '../../bed/mapper.js';
import { needs } from '../../bed/needs.js';
import { MARKER } from '../hotplug/fixture.js';
import { type Bench, withMapper } from './bench.js';

/** Returns the number of a mapper device in the form that the project uses. */
function devnumOf({ devnum }: Mapped): { major: number; minor: number } {
  const [major = 0, minor = 0] = devnum.split(':').map((part) => Number.parseInt(part, 16));
  return { major, minor };
}

const find = (mapped: Mapped, guests = 0): Promise<UnexplainedUse | undefined> => {
  const devnum = devnumOf(mapped);
  return findUnexplainedOpener(new StorageSnapshot(), devnum, Array(guests).fill(devnum));
};

/** Runs `body` while another process has these descriptors. */
async function withProcess(
  descriptors: readonly number[],
  body: () => Promise<void>,
): Promise<void> {
  const child = spawn('sleep', ['60'], { stdio: ['ignore', 'ignore', 'ignore', ...descriptors] });
  try {
    await once(child, 'spawn');
    for (const fd of descriptors) closeSync(fd);
    await body();
  } finally {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
}

/** Explained ways to have a mapper device open, each with a function that runs `body` meanwhile. */
const EXPLAINED: readonly (readonly [
  string,
  (mapped: Mapped, bench: Bench, body: () => Promise<void>) => Promise<void>,
])[] = [
  ['nobody', (_mapped, _bench, body) => body()],
  [
    'this process, twice',
    async ({ path }, _bench, body) => {
      const descriptors = [openSync(path, 'r'), openSync(path, 'r+')];
      await body().finally(() => descriptors.forEach(closeSync));
    },
  ],
  [
    'another process, by two descriptors',
    ({ path }, _bench, body) => withProcess([openSync(path, 'r'), openSync(path, 'r')], body),
  ],
  [
    'a loop device over it',
    async ({ path }, bench, body) => {
      await bench.loop(path);
      await body();
    },
  ],
  [
    'a mapper device over it',
    async ({ path }, bench, body) => {
      await bench.mapped('bench-above', linear(path));
      await body();
    },
  ],
];

describe('A mapper device that blkback has open', () => {
  before(function () {
    needs(this, 'root', 'loop', 'xenstored', 'mapper');
  });

  for (const [title, during] of EXPLAINED) {
    it(
      `and besides blkback ${title}: only blkback is to be explained`,
      withMapper({}, async (fixture, bench) => {
        const mapped = await bench.linear(MARKER);
        const vbd = await fixture.vbd(mapped.path);
        await fixture.attach(vbd);
        await during(mapped, bench, async () => {
          assert.equal(await find(mapped, 1), undefined);
          const found = await find(mapped);
          assert.deepEqual([found?.path, found?.access], [mapped.kernelPath, 'read-write']);
        });
      }),
    );
  }

  it(
    'is not explained by a descriptor with O_PATH',
    withMapper({}, async (fixture, bench) => {
      const mapped = await bench.linear(MARKER);
      await fixture.attach(await fixture.vbd(mapped.path));
      await withProcess([openSync(mapped.path, O_PATH)], async () => {
        assert.notEqual(await find(mapped), undefined);
      });
    }),
  );
});
