import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Xenstore } from '../src/xenstore/xenstore.js';
import { type Bed, startBed } from '../test/bed/bed.js';
import { startDaemon } from '../test/bed/daemon.js';
import { makeImage } from '../test/bed/images.js';
import { built, projectRoot } from '../test/bed/paths.js';
import { openStore } from '../test/bed/store.js';
import { closeVbd, createVbd, deleteVbd, type Vbd, waitInitWait } from '../test/bed/toolstack.js';
import { runScript, XEN_BLOCK_SCRIPT } from '../test/bed/xen-block.js';
import { printTable } from './table.js';

// What a toolstack waits for when a file is attached as a vbd: from exec of the hotplug script to its
// exit. Ours by then knows that blkback has opened the device; Xen's `block` does not wait for that.
// The contenders take turns, so that a machine that slows down slows all of them down.

const ROUNDS = 25;
const WARM_UP = 3;
const OURS = join(projectRoot, 'hotplug-scripts/block-diskseq');
const CLIENT = built('block-diskseq');

type Contender = (bed: Bed, store: Xenstore, round: number) => Promise<number>;

const contenders: Readonly<Record<string, Contender>> = {
  'node -e 0': async (bed) => {
    const start = performance.now();
    // The environment of the scripts: some variables cost Node tens of milliseconds.
    const env = { PATH: process.env.PATH, ...bed.env };
    await once(spawn('node', ['-e', '0'], { stdio: 'ignore', env }), 'exit');
    return performance.now() - start;
  },
  'block-diskseq add': (bed, store, round) => add(OURS, bed, store, 100 + round),
  'client and daemon, add': (bed, store, round) => add(CLIENT, bed, store, 900 + round),
  "Xen's block add": (bed, store, round) => add(XEN_BLOCK_SCRIPT, bed, store, 500 + round),
};

async function add(script: string, bed: Bed, store: Xenstore, frontend: number): Promise<number> {
  const params = makeImage(bed.images, { marker: `bench ${frontend}` });
  // By its name the daemon knows which vbds are its own to prepare: only those of its client.
  const named = script === CLIENT ? 'block-diskseq' : 'another';
  const vbd = await createVbd(store, { frontend, devid: 51712, params, script: named });
  await waitInitWait(store, vbd);
  const { status, milliseconds } = await runScript(script, bed, vbd, 'add');
  if (status !== 0) throw new Error(`${script} add ended with status ${status}`);
  await bed.blkback.waitFor((event) => event.event === 'opened' && event.vbd === vbd.key);
  await remove(script, bed, store, vbd);
  return milliseconds;
}

async function remove(script: string, bed: Bed, store: Xenstore, vbd: Vbd): Promise<void> {
  await closeVbd(store, vbd);
  await bed.blkback.waitFor((event) => event.event === 'closed' && event.vbd === vbd.key);
  const { status } = await runScript(script, bed, vbd, 'remove');
  if (status !== 0) throw new Error(`${script} remove ended with status ${status}`);
  await deleteVbd(store, vbd);
}

async function bench(): Promise<void> {
  await using bed = await startBed({ guise: 'stock' });
  await using store = await openStore(bed);
  await using daemon = await startDaemon(bed);
  const times = new Map<string, number[]>();
  for (let round = 0; round < WARM_UP + ROUNDS; round++) {
    for (const [name, contender] of Object.entries(contenders)) {
      const ms = await contender({ ...bed, env: daemon.env, blkback: bed.blkback }, store, round);
      if (round >= WARM_UP) times.set(name, [...(times.get(name) ?? []), ms]);
    }
  }
  printTable(times, 'node -e 0');
}

await bench();
