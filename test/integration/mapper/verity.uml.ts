import assert from 'node:assert/strict';
import { failure } from '../../bed/assertions.js';
import { linear, type Mapped } from '../../bed/mapper.js';
import { needs } from '../../bed/needs.js';
import { hashTree, type VerityImage, verityTable } from '../../bed/verity.js';
import { MARKER } from '../hotplug/fixture.js';
import { type Bench, swapTable, withMapper } from './bench.js';

const BLOCKS = 256;

interface Proved extends VerityImage {
  readonly table: string;
}

/** Makes data with a marker, the hashes of the data, and the table that joins them. */
async function proved(
  bench: Bench,
  marker: string,
  { algorithm = 'sha256', options = [] as readonly string[] } = {},
): Promise<Proved> {
  const image = await hashTree(bench.file(marker), BLOCKS, algorithm);
  const [data, hashes] = [await bench.loop(image.data), await bench.loop(image.hashes)];
  return { ...image, table: verityTable(image, data.path, hashes.path, ...options) };
}

async function prove(bench: Bench, image: Proved, name = 'bench-verity'): Promise<Mapped> {
  return await bench.mapped(name, image.table, { readOnly: true });
}

describe('verity-root', () => {
  before(function () {
    needs(this, 'root', 'loop', 'xenstored', 'mapper');
  });

  for (const algorithm of ['sha256', 'sha512']) {
    it(
      `accepts the right ${algorithm} digest, in either case`,
      withMapper({ guise: 'diskseq' }, async (fixture, bench) => {
        const image = await proved(bench, MARKER, { algorithm });
        const { name, kernelPath, diskseq } = await prove(bench, image);
        for (const digest of [image.root, image.root.toUpperCase()]) {
          const params = `dm-name=${name},verity-root=${digest}`;
          const vbd = await fixture.vbd(params, { mode: 'r' });
          await fixture.attach(vbd);
          await fixture.assertConnected(vbd, kernelPath, diskseq);
          const { bytes, readOnly } = await fixture.logged(vbd, 'opened');
          assert.deepEqual([bytes, readOnly], [MARKER, 1]);
          await fixture.delete(vbd);
          await fixture.detach(vbd);
        }
      }),
    );
  }

  for (const [title, change] of [
    ['whose first digit is another', (root: string) => flip(root, 0)],
    ['whose last digit is another', (root: string) => flip(root, root.length - 1)],
    ['that is only the beginning', (root: string) => root.slice(0, 32)],
    ['that goes on', (root: string) => `${root}00`],
  ] as const) {
    it(
      `refuses a digest ${title}`,
      withMapper({}, async (fixture, bench) => {
        const image = await proved(bench, MARKER);
        const { name } = await prove(bench, image);
        const wrong = change(image.root);
        const vbd = await fixture.vbd(`dm-name=${name},verity-root=${wrong}`, { mode: 'r' });
        const error = await failure('EVERITY', fixture.attach(vbd));
        assert.match(error.message, new RegExp(`${image.root} \\(sha256\\).*asks for ${wrong}`));
        assert.deepEqual(fixture.events(vbd, 'physical-device'), []);
        await fixture.assertTakenBack(vbd, error);
      }),
    );
  }

  for (const [title, refusal, table] of [
    ['is not one', /is not one dm-verity target.* but linear/, (good: string) => linearOver(good)],
    [
      'is one only in part',
      /is not one dm-verity target.* but linear, linear/,
      (good: string) => `0 1024 linear ${dataOf(good)} 0\n1024 1024 linear ${dataOf(good)} 1024`,
    ],
    [
      'passes on what is corrupt',
      /ignore_corruption/,
      (good: string) => `${good} 1 ignore_corruption`,
    ],
    [
      'does not look at a block again',
      /check_at_most_once: blocks that become corrupt/,
      (good: string) => `${good} 1 check_at_most_once`,
    ],
  ] as const) {
    it(
      `refuses a device that ${title}`,
      withMapper({}, async (fixture, bench) => {
        const image = await proved(bench, MARKER);
        const { name } = await prove(bench, { ...image, table: table(image.table) });
        const vbd = await fixture.vbd(`dm-name=${name},verity-root=${image.root}`, { mode: 'r' });
        const error = await failure('EVERITY', fixture.attach(vbd));
        assert.match(error.message, refusal);
        await fixture.assertTakenBack(vbd, error);
      }),
    );
  }

  it(
    'refuses a file, and a disk that is no mapper device',
    withMapper({}, async (fixture, bench) => {
      for (const path of [fixture.image(), (await bench.disk('x')).path]) {
        const vbd = await fixture.vbd(`path=${path},verity-root=${'ab'.repeat(32)}`, { mode: 'r' });
        const error = await failure('ENOTMAPPER', fixture.attach(vbd));
        assert.match(error.message, /verity-root can only be set for a mapper device/);
      }
    }),
  );

  it(
    'refuses to let a guest write',
    withMapper({}, async (fixture, bench) => {
      const image = await proved(bench, MARKER);
      const { name } = await prove(bench, image);
      const vbd = await fixture.vbd(`dm-name=${name},verity-root=${image.root}`);
      assert.match((await failure('EREADONLY', fixture.attach(vbd))).message, /read-only/);
    }),
  );

  for (const [when, behaviour] of [
    ['before blkback hears of it', {}],
    ['before blkback opens it', { hold: true }],
  ] as const) {
    it(
      `refuses a table that is exchanged for that of another tree ${when}`,
      withMapper(behaviour, async (fixture, bench) => {
        const image = await proved(bench, MARKER);
        const other = await proved(bench, 'another tree');
        assert.notEqual(image.root, other.root);
        const { name, path, kernelPath } = await prove(bench, image);
        const vbd = await fixture.vbd(`path=${path},verity-root=${image.root}`, { mode: 'r' });
        const swap = () => swapTable(name, other.table, '--readonly');
        const adding = fixture.attach(vbd, {
          onStep: (step) => {
            if (step === 'opened' && !('hold' in behaviour)) swap();
          },
        });
        adding.catch(() => {});
        if ('hold' in behaviour) {
          await fixture.logged(vbd, 'physical-device');
          swap();
          fixture.blkback.kill('SIGUSR1');
        }
        const error = await failure('EIDENTITY', adding);
        assert.match(error.message, /table/);
        if ('hold' in behaviour) return await fixture.assertKept(vbd, error, kernelPath);
        assert.deepEqual(fixture.events(vbd, 'opened'), []);
        await fixture.assertTakenBack(vbd, error);
      }),
    );
  }

  it(
    'show tells what a corrupt block leads to',
    withMapper({}, async (fixture, bench) => {
      const image = await proved(bench, MARKER, { options: ['restart_on_corruption'] });
      const { name } = await prove(bench, image);
      const vbd = await fixture.vbd(`dm-name=${name},verity-root=${image.root}`, { mode: 'r' });
      await fixture.attach(vbd);
      const { status, stdout } = await fixture.cli(['show', vbd.backendPath]);
      assert.equal(status, 0);
      assert.match(stdout, /restart_on_corruption/);
    }),
  );
});

/** Returns the digest with one digit changed. */
function flip(digest: string, index: number): string {
  const digit = (Number.parseInt(digest[index] ?? '', 16) ^ 1).toString(16);
  return digest.slice(0, index) + digit + digest.slice(index + 1);
}

const dataOf = (table: string): string => table.split(' ')[4] ?? '';
const linearOver = (table: string): string => linear(dataOf(table));
