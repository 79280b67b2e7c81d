import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { attach } from '../../../src/hotplug/attach.js';
import { detach } from '../../../src/hotplug/detach.js';
import { effort } from '../../bed/effort.js';
import { needs } from '../../bed/needs.js';
import { HOTPLUG_SCRIPT, libxlEnvironment, type Run, startProgram } from '../../bed/script.js';
import type { Vbd } from '../../bed/toolstack.js';
import { runXenBlock } from '../../bed/xen-block.js';
import { parse } from '../hotplug/fixture.js';
import {
  contentOf,
  destroyVbds,
  type Fixture,
  makeVbds,
  NAMES,
  openedBy,
  withChurn,
} from './fixture.js';

const ADDS = Number(process.env.XEN_BLKBACK_ADDS ?? effort(2000, 150));
/** The numbers of vbds that exist at a time, and of adds in flight. */
const BATCH = 12;
const LANES = 3;
const SCRIPT_ADDS = effort(30, 5);
/** The number of adds by the script after which each side has certainly won once. */
const MOST_SCRIPT_ADDS = 60;
/** The niceness of the bystander. On a machine with one CPU, the adds need time too. */
const NICENESS = 12;
/** The number of tries after which Xen's script has certainly gone wrong. */
const MOST_XEN_BLOCK_TRIES = 60;
/** The codes of refusals that say that the device is gone, is another, or is on its way. */
const CLEAN = [
  'ENOENT',
  'ENXIO',
  'ENODEV',
  'EIDENTITY',
  'ENOTABLE',
  'EGOING',
  'ENOMEDIUM',
  'EBUSY',
];

/** Ways to name the device. */
const WAYS: readonly ((name: string) => string)[] = [
  (name) => `dm-name=${name},sharing=allow`,
  (name) => `dm-uuid=UUID-${name},sharing=allow`,
  (name) => `path=/dev/mapper/${name},sharing=allow`,
  (name) => `dm-name=${name},sharing=allow,layer=linear`,
];

const SCRIPT_WAYS: readonly ((name: string) => string)[] = [
  (name) => `dm-name=${name}`,
  (name) => `/dev/mapper/${name}`,
];

describe('mapper devices are destroyed and made anew all the time', function () {
  // This machine may share the CPU with many others.
  this.timeout(1_500_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored', 'mapper');
  });

  it(`${ADDS} adds in one process: blkback never opens another content than the one named`, async () => {
    const outcomes: Record<string, number> = {};
    const behaviour = {
      guise: 'diskseq',
      delayMs: 10,
      randomDelay: true,
      closeDelayMs: 0,
    } as const;
    const count = await withChurn(behaviour, NICENESS, async (fixture) => {
      for (let first = 0; first < ADDS; first += BATCH) {
        for (const outcome of await tryBatch(fixture, first)) {
          outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
        }
      }
      assert.deepEqual(recordsOf(fixture), []);
    });
    console.log(`      ${JSON.stringify({ ...outcomes, ...count })}`);
    const { attached = 0, ...refused } = outcomes;
    assert.equal(
      Object.values(outcomes).reduce((a, b) => a + b, 0),
      ADDS,
    );
    assert.deepEqual(
      Object.keys(refused).filter((code) => !CLEAN.includes(code)),
      [],
    );
    // It was a race only if each side has won often.
    assert.ok(attached > ADDS / 10, `only ${attached} were attached`);
    assert.ok(ADDS - attached > ADDS / 20, `only ${ADDS - attached} were refused`);
    assert.ok(count.made > ADDS, `the bystander made only ${count.made} devices`);
  });

  it(`${SCRIPT_ADDS} adds through the script, too`, async () => {
    const seen = { attached: 0, refused: 0 };
    const behaviour = { delayMs: 20, randomDelay: true, closeDelayMs: 0 } as const;
    await withChurn(behaviour, NICENESS, async (fixture) => {
      const oneSided = () => seen.attached === 0 || seen.refused === 0;
      for (let index = 0; index < (oneSided() ? MOST_SCRIPT_ADDS : SCRIPT_ADDS); index++) {
        const name = NAMES[index % NAMES.length] ?? '';
        const [vbd] = await makeVbds(fixture, index, [
          SCRIPT_WAYS[index % SCRIPT_WAYS.length]?.(name) ?? '',
        ]);
        assert.ok(vbd);
        const { status, stdout, stderr } = await script(fixture, vbd, 'add');
        const opened = openedBy(fixture.bed, [vbd]);
        for (const { bytes } of opened) assert.equal(bytes, contentOf(name));
        if (status === 0) assert.deepEqual([stdout, stderr, opened.length], ['', '', 1]);
        else assert.match(stderr, /^xen-blkback: [^\n]+\n$/);
        seen[status === 0 ? 'attached' : 'refused']++;
        await destroyVbds(fixture, [vbd]);
        if (status === 0) assert.equal((await script(fixture, vbd, 'remove')).status, 0);
      }
      assert.deepEqual(recordsOf(fixture), []);
    });
    console.log(`      ${JSON.stringify(seen)}`);
    assert.ok(seen.attached > 0 && seen.refused > 0, 'it was no race');
  });

  it("Xen's block script in our place lets blkback open the wrong content", async () => {
    const seen = { right: 0, wrong: 0, empty: 0, failed: 0, tries: 0 };
    const behaviour = { delayMs: 50, randomDelay: true } as const;
    await withChurn(behaviour, NICENESS, async (fixture) => {
      while (seen.wrong === 0 && seen.tries < MOST_XEN_BLOCK_TRIES) {
        const name = NAMES[seen.tries++ % NAMES.length] ?? '';
        const [vbd] = await makeVbds(fixture, seen.tries, [`/dev/mapper/${name}`]);
        assert.ok(vbd);
        const { status } = await runXenBlock(fixture.bed, vbd, 'add');
        if (status === 0) {
          await fixture.bed.blkback.waitFor(
            ({ event, vbd: key }) => key === vbd.key && ['opened', 'failed'].includes(event),
          );
        }
        const [opened] = openedBy(fixture.bed, [vbd]);
        if (opened === undefined) seen.failed++;
        else if (!opened.size) seen.empty++;
        else seen[opened.bytes === contentOf(name) ? 'right' : 'wrong']++;
        await destroyVbds(fixture, [vbd]);
      }
    });
    console.log(`      ${JSON.stringify(seen)}`);
    assert.ok(seen.wrong > 0, 'it never opened the wrong content: this test proves nothing');
  });
});

/**
 * Runs some adds, a few at a time. Returns for each of them `attached` or the code of the refusal.
 */
async function tryBatch(fixture: Fixture, first: number): Promise<string[]> {
  const { bed, store } = fixture;
  const tries = Array.from({ length: Math.min(BATCH, ADDS - first) }, (_, index) => {
    const name = NAMES[(first + index) % NAMES.length] ?? '';
    const way = WAYS[Math.floor((first + index) / NAMES.length) % WAYS.length];
    return { name, params: way?.(name) ?? '' };
  });
  const vbds = await makeVbds(
    fixture,
    first,
    tries.map(({ params }) => params),
  );
  const places = { timeoutMs: 60_000, sysfs: bed.blkback.sysfs, runDirectory: bed.runDirectory };
  const outcomes: string[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let vbd = vbds[next++]; vbd !== undefined; vbd = vbds[next++]) {
      const outcome = await attach(store, parse(vbd), { ...places, uapi: 'key' }).then(
        () => 'attached',
        codeOf,
      );
      outcomes[vbds.indexOf(vbd)] = outcome;
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  for (const [index, vbd] of vbds.entries()) {
    const opened = openedBy(bed, [vbd]);
    if (outcomes[index] === 'attached') assert.equal(opened.length, 1);
    for (const { bytes } of opened) {
      assert.equal(bytes, contentOf(tries[index]?.name ?? ''), JSON.stringify(opened));
    }
  }
  await destroyVbds(fixture, vbds);
  const attached = vbds.filter((_vbd, index) => outcomes[index] === 'attached');
  await Promise.all(attached.map((vbd) => detach(store, parse(vbd), places)));
  return outcomes;
}

function recordsOf({ bed }: Fixture): string[] {
  return readdirSync(bed.runDirectory).filter((name) => name.endsWith('.json'));
}

function script({ bed }: Fixture, { backendPath }: Vbd, action: 'add' | 'remove'): Promise<Run> {
  const env = { ...bed.env, ...libxlEnvironment(backendPath) };
  return startProgram(HOTPLUG_SCRIPT, [action], env).ended;
}

function codeOf(error: unknown): string {
  assert.ok(error instanceof Error);
  assert.doesNotMatch(error.message, /\n/);
  const code = 'code' in error ? String(error.code) : String(error);
  if (!CLEAN.includes(code)) console.log(error.stack);
  return code;
}
