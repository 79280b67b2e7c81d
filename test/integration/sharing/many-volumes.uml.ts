import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { attach } from '../../../src/hotplug/attach.js';
import { openStorageLookup } from '../../../src/topology/open-storage-lookup.js';
import { parseVbdPath } from '../../../src/vbd/vbd-path.js';
import { assembleArray } from '../../bed/array.js';
import { startBed } from '../../bed/bed.js';
import { effort, needsFullEffort } from '../../bed/effort.js';
import { attachLoop, makeImage } from '../../bed/images.js';
import { createMapped, linear } from '../../bed/mapper.js';
import { needs } from '../../bed/needs.js';
import { openStore } from '../../bed/store.js';
import { createVbd, deleteVbd, waitInitWait } from '../../bed/toolstack.js';

const run = promisify(execFile);
const VOLUMES = effort(100, 12);
/** The size of each volume; sectors. */
const SIZE = 128;
const ROOT_SIZE = 4096;
const PATIENCE_MS = 30_000;

describe('A volume group on an array, with the root of this domain on it', function () {
  this.timeout(180_000);
  before(function () {
    needsFullEffort(this);
    needs(this, 'root', 'loop', 'xenstored', 'mapper');
  });

  it(`has a volume for each of ${VOLUMES} guests, and the last costs what the first has`, async () => {
    await using bed = await startBed({});
    await using store = await openStore(bed);
    await using undo = new Undo();
    const size = (ROOT_SIZE + VOLUMES * SIZE) * 512;
    const members: string[] = [];
    for (const marker of ['one', 'two']) {
      const image = makeImage(bed.images, { marker, size });
      members.push(undo.own(await attachLoop(image)).path);
    }
    const array = await assembleArray(members);
    undo.defer(() => array.stop());
    const root = undo.own(await createMapped('vg0-root', linear(array.path, ROOT_SIZE)));
    const directory = join(bed.images, 'root');
    mkdirSync(directory);
    await run('mke2fs', ['-q', '-F', root.path]);
    await run('mount', [root.path, directory]);
    undo.defer(async () => {
      await run('umount', [directory]);
    });

    const storageLookup = openStorageLookup();
    const { runDirectory, blkback } = bed;
    const options = { timeoutMs: PATIENCE_MS, uapi: 'key', sysfs: blkback.sysfs } as const;
    const milliseconds: number[] = [];
    for (let index = 0; index < VOLUMES; index++) {
      const table = linear(array.path, SIZE, ROOT_SIZE + index * SIZE);
      const { path } = undo.own(await createMapped(`vg0-guest${index}`, table));
      const vbd = await createVbd(store, { frontend: 100 + index, devid: 51712, params: path });
      undo.defer(async () => {
        await deleteVbd(store, vbd);
        await blkback.waitFor(
          (event) => event.event === 'closed' && event.vbd === vbd.key,
          PATIENCE_MS,
        );
      });
      await waitInitWait(store, vbd, PATIENCE_MS);
      const vbdPath = parseVbdPath(vbd.backendPath);
      assert.ok(vbdPath);
      const begin = performance.now();
      await attach(store, vbdPath, { ...options, runDirectory, storageLookup });
      milliseconds.push(performance.now() - begin);
    }
    const quarter = Math.floor(VOLUMES / 4);
    const first = median(milliseconds.slice(1, 1 + quarter));
    const last = median(milliseconds.slice(-quarter));
    console.log(
      `${VOLUMES} volumes on an array: ${first.toFixed(1)} ms for one of the first, ${last.toFixed(1)} ms for one of the last`,
    );
    assert.ok(last < 3 * first + 50, `${first} ms, then ${last} ms`);
  });
});

/** Functions that undo what was made, in reverse order. */
class Undo implements AsyncDisposable {
  readonly #list: (() => PromiseLike<void>)[] = [];

  own<T extends AsyncDisposable>(made: T): T {
    this.defer(() => made[Symbol.asyncDispose]());
    return made;
  }

  defer(undo: () => PromiseLike<void>): void {
    this.#list.push(undo);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const undo of this.#list.reverse()) await undo();
  }
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}
