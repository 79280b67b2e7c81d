import assert from 'node:assert/strict';
import { pause } from '../../../src/util/retry.js';
import type { Xenstore } from '../../../src/xenstore/xenstore.js';
import { type Bed, startBed } from '../../bed/bed.js';
import { type Daemon, runClient, startDaemon } from '../../bed/daemon.js';
import { attachLoop, loopsLeft, makeImage } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { HOTPLUG_SCRIPT, libxlEnvironment, type Run, startProgram } from '../../bed/script.js';
import { openStore } from '../../bed/store.js';
import { createVbd, deleteVbd, type Vbd, waitInitWait } from '../../bed/toolstack.js';

/** The number of pairs. XEN_BLKBACK_RACES sets another number. */
const PAIRS = Number(process.env.XEN_BLKBACK_RACES || 32);
const LANES = 2;
const PATIENCE_MS = 30_000;

type Way = 'one-shot' | 'daemon';
const COMBINATIONS: readonly (readonly [Way, Way])[] = [
  ['one-shot', 'one-shot'],
  ['one-shot', 'daemon'],
  ['daemon', 'one-shot'],
  ['daemon', 'daemon'],
];

describe('two guests race for one device', function () {
  this.timeout(Math.max(60_000, PAIRS * 2000));
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  it(`${PAIRS} pairs, one-shot and daemon: one wins, the other is told by whom it has lost`, async () => {
    await using bed = await startBed({ delayMs: 5, randomDelay: true });
    await using store = await openStore(bed);
    await using daemon = await startDaemon(bed);
    // The start of a process takes time. Without a head start of the script, the daemon would
    // always win.
    const headStartMs = 2 * (await timeOneShot(bed, store));
    const wins = new Map<string, number>();
    const pairs = Array.from({ length: PAIRS }, (_, index) => index);
    const lanes = Array.from({ length: LANES }, async () => {
      for (let pair = pairs.shift(); pair !== undefined; pair = pairs.shift()) {
        const won = await race({ bed, store, daemon, headStartMs }, pair);
        wins.set(won, (wins.get(won) ?? 0) + 1);
      }
    });
    await Promise.all(lanes);
    assert.deepEqual(await loopsLeft(bed.images), []);
    console.log(`      ${[...wins].map(([what, count]) => `${what}: ${count}`).join(', ')}`);
    // It was a race only if the first and the second guest have won, and the one-shot program and
    // the daemon.
    const winners = [...wins.keys()].join(', ');
    for (const word of ['first', 'second', '(one-shot)', '(daemon)']) {
      assert.ok(winners.includes(word), `${word} never won: ${winners}`);
    }
  });
});

interface Fixture {
  readonly bed: Bed;
  readonly store: Xenstore;
  readonly daemon: Daemon;
  /** The longest head start of a script before the daemon is asked; milliseconds. */
  readonly headStartMs: number;
}

/** Returns the time of an add by the script here and now; milliseconds. */
async function timeOneShot(bed: Bed, store: Xenstore): Promise<number> {
  const params = makeImage(bed.images, { marker: 'a trial' });
  const vbd = await createVbd(store, { frontend: 1, devid: 51712, params, script: 'another' });
  await waitInitWait(store, vbd);
  const env = { ...bed.env, ...libxlEnvironment(vbd.backendPath) };
  const { milliseconds } = await startProgram(HOTPLUG_SCRIPT, ['add'], env).ended;
  await deleteVbd(store, vbd);
  await bed.blkback.waitFor((event) => event.event === 'closed' && event.vbd === vbd.key);
  return milliseconds;
}

/** Runs one pair. Returns which guest has won, and by which program. */
async function race(fixture: Fixture, pair: number): Promise<string> {
  const { bed, store } = fixture;
  const ways = COMBINATIONS[pair % COMBINATIONS.length] ?? ['one-shot', 'one-shot'];
  const image = makeImage(bed.images, { marker: `pair ${pair}` });
  // In every other group of four pairs, the guests race for a disk instead of a file.
  await using loop = pair % 8 < 4 ? undefined : await attachLoop(image);
  const params = loop?.path ?? image;
  const guests = [0, 1].map((which) => 1000 + 2 * pair + which);
  // The daemon does not prepare a vbd of this script unasked.
  const vbds = await Promise.all(
    guests.map((frontend) =>
      createVbd(store, { frontend, devid: 51712, params, script: 'another' }),
    ),
  );
  await Promise.all(vbds.map((vbd) => waitInitWait(store, vbd, PATIENCE_MS)));
  const mixed = ways[0] !== ways[1];
  const runs = await Promise.all(
    vbds.map((vbd, which) => add(fixture, vbd, ways[which] ?? 'daemon', mixed)),
  );
  const winner = runs.findIndex(({ status }) => status === 0);
  const loser = 1 - winner;
  const said = JSON.stringify(runs.map(({ status, stderr }) => ({ status, stderr })));
  assert.deepEqual(runs.map(({ status }) => status).sort(), [0, 1], said);
  const [status] = await store.readMany([`${vbds[loser]?.backendPath}/hotplug-status`]);
  assert.equal(status?.toString(), 'busy', said);
  assert.match(
    runs[loser]?.stderr ?? '',
    new RegExp(`attached read-write to domain ${guests[winner]} as xvda`),
  );
  const opened = bed.blkback
    .log()
    .filter(({ event, vbd }) => event === 'opened' && vbds.some(({ key }) => key === vbd));
  assert.deepEqual(
    opened.map(({ vbd }) => vbd),
    [vbds[winner]?.key],
  );
  await Promise.all(vbds.map((vbd) => deleteVbd(store, vbd)));
  await bed.blkback.waitFor(
    ({ event, vbd }) => event === 'closed' && vbd === vbds[winner]?.key,
    PATIENCE_MS,
  );
  return `${winner === 0 ? 'first' : 'second'} ${mixed ? `(${ways[winner]})` : 'of its kind'}`;
}

async function add(
  { bed, daemon, headStartMs }: Fixture,
  vbd: Vbd,
  way: Way,
  mixed: boolean,
): Promise<Run> {
  if (way === 'daemon') {
    // The pause is up to one and a half times as long as the script takes, so that each side has a
    // fair chance.
    if (mixed) await pause(headStartMs * 1.5 * Math.random());
    return await runClient({ ...daemon.env, PATH: '/nonexistent' }, vbd, 'add');
  }
  const env = { ...bed.env, ...libxlEnvironment(vbd.backendPath) };
  return await startProgram(HOTPLUG_SCRIPT, ['add'], env).ended;
}
