import { join } from 'node:path';
import type { Xenstore } from '../src/xenstore/xenstore.js';
import { type Bed, startBed } from '../test/bed/bed.js';
import { startDaemon } from '../test/bed/daemon.js';
import { makeImage } from '../test/bed/images.js';
import { built, projectRoot } from '../test/bed/paths.js';
import { openStore } from '../test/bed/store.js';
import {
  closeVbd,
  createVbd,
  deleteVbd,
  type Vbd,
  waitInitWait,
  waitNode,
} from '../test/bed/toolstack.js';
import { runScript, XEN_BLOCK_SCRIPT } from '../test/bed/xen-block.js';
import { printTable } from './table.js';

// Measures what an add costs on a machine with many guests and on one without guests. One guest
// reads an image that all others read, too, and another one writes an image of its own beside
// theirs.

const SHARERS = Number(process.env.XEN_BLKBACK_SHARERS || 500);
const ROUNDS = 15;
const WARM_UP = 2;
/** There are few rounds because Xen's script takes seconds for each. */
const BLOCK_ROUNDS = 5;
const AT_A_TIME = 20;
const LONGEST_MS = 120_000;

const OURS = join(projectRoot, 'hotplug-scripts/block-diskseq');
const CLIENT = built('block-diskseq');

interface Place {
  readonly bed: Bed;
  readonly store: Xenstore;
  /** The image that all guests read. */
  readonly image: string;
  readonly env: Readonly<Record<string, string>>;
}

/** Xen's script does not try again if another process takes its loop device first. */
const TRIES = 10;

let frontend = 1000;

async function add(place: Place, script: string, mode: 'r' | 'w'): Promise<number> {
  for (let left = TRIES; ; left--) {
    const milliseconds = await addOnce(place, script, mode);
    if (milliseconds !== undefined) return milliseconds;
    if (script !== XEN_BLOCK_SCRIPT || left === 1) throw new Error(`${script} add failed`);
  }
}

/**
 * Runs one add, and returns its time in milliseconds. The vbd names a script whose vbds the daemon
 * does not attach in advance, so that the whole add is timed. Returns `undefined` if the add fails.
 */
async function addOnce(place: Place, script: string, mode: 'r' | 'w'): Promise<number | undefined> {
  const { bed, store, image, env } = place;
  const params = mode === 'r' ? image : makeImage(bed.images, { marker: 'its own' });
  const vbd = await createVbd(store, {
    frontend: frontend++,
    devid: 51712,
    params,
    mode,
    script: 'another',
  });
  await waitInitWait(store, vbd);
  const { status, milliseconds } = await runScript(script, { env }, vbd, 'add');
  if (status !== 0) {
    await deleteVbd(store, vbd);
    return undefined;
  }
  await bed.blkback.waitFor((event) => event.event === 'opened' && event.vbd === vbd.key);
  await closeVbd(store, vbd);
  await bed.blkback.waitFor((event) => event.event === 'closed' && event.vbd === vbd.key);
  await runScript(script, { env }, vbd, 'remove');
  await deleteVbd(store, vbd);
  return milliseconds;
}

/** Creates the guests that read the image. The daemon attaches their disks without a request. */
async function share({ store, image }: Place): Promise<Vbd[]> {
  const vbds: Vbd[] = [];
  const start = performance.now();
  for (let first = 0; first < SHARERS; first += AT_A_TIME) {
    const some = Array.from({ length: Math.min(AT_A_TIME, SHARERS - first) }, (_, index) =>
      createVbd(store, { frontend: 1 + first + index, devid: 51712, params: image, mode: 'r' }),
    );
    vbds.push(...(await Promise.all(some)));
  }
  await Promise.all(
    vbds.map((vbd) =>
      waitNode(store, `${vbd.backendPath}/hotplug-status`, 'connected', LONGEST_MS),
    ),
  );
  const seconds = (performance.now() - start) / 1000;
  console.log(
    `${SHARERS} guests share the image; attached at once, within ${seconds.toFixed(1)} s\n`,
  );
  return vbds;
}

async function measure(place: Place, times: Map<string, number[]>, beside: string): Promise<void> {
  const contenders = {
    'one-shot': OURS,
    daemon: CLIENT,
    "Xen's block": XEN_BLOCK_SCRIPT,
  };
  for (let round = 0; round < WARM_UP + ROUNDS; round++) {
    for (const mode of ['r', 'w'] as const) {
      for (const [name, script] of Object.entries(contenders)) {
        if (script === XEN_BLOCK_SCRIPT && round >= WARM_UP + BLOCK_ROUNDS) continue;
        const ms = await add(place, script, mode);
        const row = `${name}, ${mode === 'r' ? 'the shared image, r' : 'its own, w'}, beside ${beside}`;
        if (round >= WARM_UP) times.set(row, [...(times.get(row) ?? []), ms]);
      }
    }
  }
}

async function bench(): Promise<void> {
  await using bed = await startBed({ guise: 'stock' });
  await using store = await openStore(bed);
  await using daemon = await startDaemon(bed);
  const image = makeImage(bed.images, { marker: 'shared by all' });
  const place = { bed, store, image, env: daemon.env };
  const times = new Map<string, number[]>();
  await measure(place, times, 'none');
  const sharers = await share(place);
  await measure(place, times, String(SHARERS));
  for (const vbd of sharers) await deleteVbd(store, vbd);
  const sorted = new Map([...times].sort(([a], [b]) => (a < b ? 1 : -1)));
  printTable(sorted, 'daemon, the shared image, r, beside none');
}

await bench();
