import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { attachLoop, type Loop, makeImage } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { deleteVbd, type Vbd } from '../../bed/toolstack.js';
import { on, type Stage } from '../hotplug/stage.js';

const MANY = 300;
/** At a time, so that the making of them takes no longer than it must. */
const LANES = 8;
const ROUNDS = 15;
/** What it may cost at the most is measured by the benchmark; here only that it does not grow with them. */
const GENEROUS = 3;

type Make = (stage: Stage, index: number) => Promise<string>;

describe(`An add beside ${MANY} attached vbds`, function () {
  this.timeout(180_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  for (const guise of ['stock', 'diskseq'] as const) {
    for (const kind of ['file', 'disk'] as const) {
      it(
        `costs about what one beside none costs: a ${kind} (${guise} blkback)`,
        on({ guise }, async (stage) => {
          const directory = join(stage.bed.directory, 'disks');
          mkdirSync(directory);
          const loops: Loop[] = [];
          const make: Make = async (_stage, index) => {
            if (kind === 'file') return stage.image(`file ${index}`);
            const loop = await attachLoop(makeImage(directory, { marker: `disk ${index}` }));
            loops.push(loop);
            return loop.path;
          };
          try {
            const alone = await measure(stage, make);
            await attachMany(stage, make);
            const beside = await measure(stage, make);
            console.log(
              `      ${alone.toFixed(2)} ms beside none, ${beside.toFixed(2)} ms beside ${MANY}: ${(beside / alone).toFixed(2)} times`,
            );
            assert.ok(beside < alone * GENEROUS, `${beside} ms, ${alone} ms beside none`);
          } finally {
            await stage.destroyVbds();
            for (const loop of loops) await loop.detach();
          }
        }),
      );
    }
  }
});

async function attachMany(stage: Stage, make: Make): Promise<void> {
  let next = 1000;
  const lane = async (): Promise<void> => {
    while (next < 1000 + MANY) {
      const frontend = next++;
      const vbd = await stage.vbd(await make(stage, frontend), { frontend, devid: 51712 });
      await stage.attach(vbd);
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
}

/** The median of some adds, in milliseconds. */
async function measure(stage: Stage, make: Make): Promise<number> {
  const times: number[] = [];
  const vbds: Vbd[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const vbd = await stage.vbd(await make(stage, round));
    const start = performance.now();
    await stage.attach(vbd);
    times.push(performance.now() - start);
    vbds.push(vbd);
    await deleteVbd(stage.store, vbd);
    await stage.logged(vbd, 'closed');
  }
  return times.sort((a, b) => a - b)[Math.floor(ROUNDS / 2)] ?? Number.NaN;
}
