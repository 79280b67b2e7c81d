import assert from 'node:assert/strict';
import { closeSync, mkdirSync, openSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { dirname } from 'node:path';
import type { AttachOptions, AttachStep } from '../../../src/hotplug/attach.js';
import { failure } from '../../bed/assertions.js';
import { sample } from '../../bed/effort.js';
import { linear, type Mapped } from '../../bed/mapper.js';
import { needs } from '../../bed/needs.js';
import { MARKER } from '../hotplug/fixture.js';
import { type Bench, dmsetupNow, swapTable, withMapper } from './bench.js';

const OTHER = 'another disk';

/** A change of the device that is being attached. */
interface Change {
  readonly title: string;
  readonly happens: (mapped: Mapped, other: Mapped) => void;
  readonly undo?: (mapped: Mapped) => void;
  readonly says: RegExp;
}

const CHANGES: readonly Change[] = [
  {
    title: 'it is renamed',
    happens: ({ name }) => dmsetupNow('rename', name, 'bench-renamed'),
    says: /name bench-disk was expected, bench-renamed found/,
  },
  {
    title: 'it is renamed, and another one gets its name',
    happens: ({ name }, other) => {
      dmsetupNow('rename', name, 'bench-renamed');
      dmsetupNow('rename', other.name, name);
    },
    says: /name bench-disk was expected, bench-renamed found/,
  },
  {
    title: 'its table is exchanged',
    happens: ({ name }, other) => swapTable(name, linear(other.path)),
    undo: ({ name }) => swapTable(name, '0 2048 error'),
    says: /table/,
  },
  {
    title: 'its table is cut short',
    happens: ({ name }) => swapTable(name, '0 1024 error'),
    says: /table/,
  },
];

describe('a mapper device that is another than it was', () => {
  before(function () {
    needs(this, 'root', 'loop', 'xenstored', 'mapper');
  });

  for (const { title, happens, undo, says } of sample(CHANGES, 2)) {
    it(
      `${title} between open and publish: blkback never hears of it`,
      withMapper({ guise: 'diskseq' }, async (fixture, bench) => {
        const { mapped, other } = await twoDisks(bench);
        const vbd = await fixture.vbd('dm-name=bench-disk');
        const onStep = at('opened', () => happens(mapped, other));
        const error = await failure('EIDENTITY', fixture.attach(vbd, { onStep }));
        undo?.(mapped);
        assert.match(error.message, says);
        assert.deepEqual(fixture.events(vbd, 'physical-device', 'opened'), []);
        await fixture.assertTakenBack(vbd, error);
      }),
    );

    it(
      `${title} between publish and open: the add fails, and the nodes name what blkback has`,
      withMapper({ hold: true }, async (fixture, bench) => {
        const { mapped, other } = await twoDisks(bench);
        const vbd = await fixture.vbd('dm-name=bench-disk');
        const adding = fixture.attach(vbd);
        adding.catch(() => {});
        await fixture.logged(vbd, 'physical-device');
        happens(mapped, other);
        fixture.blkback.kill('SIGUSR1');
        const error = await failure('EIDENTITY', adding);
        undo?.(mapped);
        assert.match(error.message, says);
        await fixture.assertKept(vbd, error, mapped.kernelPath);
      }),
    );
  }

  it(
    'it is removed between plan and open: that is said',
    withMapper({}, async (fixture, bench) => {
      const { mapped } = await twoDisks(bench);
      const vbd = await fixture.vbd('dm-name=bench-disk');
      const onStep = at('planned', () => dmsetupNow('remove', mapped.name));
      const error = await failure('ENOENT', fixture.attach(vbd, { onStep }));
      assert.match(error.message, /no mapper device with dm-name=bench-disk/);
      await fixture.assertTakenBack(vbd, error);
    }),
  );

  for (const [what, params] of [
    [
      'the same number',
      ({ kernelPath, diskseq }: Mapped) => `path=${kernelPath},diskseq=${diskseq}`,
    ],
    ['the same name', ({ name, diskseq }: Mapped) => `dm-name=${name},diskseq=${diskseq}`],
    ['the same name and number', ({ path, diskseq }: Mapped) => `path=${path},diskseq=${diskseq}`],
  ] as const) {
    it(
      `it is made anew with ${what} between plan and open: its diskseq tells`,
      withMapper({}, async (fixture, bench) => {
        const { mapped, other } = await twoDisks(bench);
        const vbd = await fixture.vbd(params(mapped));
        const name = what === 'the same number' ? 'bench-new' : mapped.name;
        const minor = what === 'the same name' ? '77' : mapped.kernelPath.slice('/dev/dm-'.length);
        const onStep = at('planned', () => {
          dmsetupNow('remove', mapped.name);
          const place = ['--major', '254', '--minor', minor];
          dmsetupNow('create', name, '--table', linear(other.path), ...place);
        });
        try {
          const error = await failure('EIDENTITY', fixture.attach(vbd, { onStep }));
          assert.match(error.message, new RegExp(`diskseq ${mapped.diskseq} was expected`));
          assert.deepEqual(fixture.events(vbd, 'physical-device', 'opened'), []);
        } finally {
          dmsetupNow('remove', name);
        }
      }),
    );
  }

  for (const [what, path, target] of [
    ['/dev/mapper/NAME', '/dev/mapper/bench-gone', ({ kernelPath }: Mapped) => kernelPath],
    ['a link by name', '/dev/disk/by-id/dm-name-bench-gone', ({ path }: Mapped) => path],
    ['a link by UUID', '/dev/disk/by-id/dm-uuid-BENCH-gone', ({ path }: Mapped) => path],
    [
      "LVM's link",
      '/dev/bench/gone',
      ({ kernelPath }: Mapped) => `../${kernelPath.slice('/dev/'.length)}`,
    ],
  ] as const) {
    it(
      `${what} is stale and leads to a device that is called otherwise`,
      withMapper({}, async (fixture, bench) => {
        const mapped = await bench.linear(MARKER, { name: 'bench-there', uuid: 'BENCH-there' });
        mkdirSync(dirname(path), { recursive: true });
        rmSync(path, { force: true });
        symlinkSync(target(mapped), path);
        const vbd = await fixture.vbd(path);
        const error = await failure('EIDENTITY', fixture.attach(vbd));
        rmSync(path);
        assert.match(error.message, /gone/);
        assert.match(error.message, /there/);
        await fixture.assertTakenBack(vbd, error);
      }),
    );
  }

  it(
    'a link is moved to another device while it is followed: what was opened first is what counts',
    withMapper({ guise: 'diskseq' }, async (fixture, bench) => {
      const { mapped, other } = await twoDisks(bench);
      const path = `${fixture.bed.directory}/link`;
      symlinkSync(mapped.path, path);
      symlinkSync(other.path, `${path}.new`);
      const vbd = await fixture.vbd(path);
      await fixture.attach(vbd, { onStep: at('opened', () => renameSync(`${path}.new`, path)) });
      const opened = await fixture.logged(vbd, 'opened');
      assert.deepEqual([opened.dev, opened.diskseq], [mapped.devnum, mapped.diskseq]);
      assert.equal(opened.bytes, MARKER);
    }),
  );

  it(
    'it is marked for deferred removal already: it is on its way out',
    withMapper({}, async (fixture, bench) => {
      const { mapped } = await twoDisks(bench);
      const holder = openSync(mapped.path, 'r');
      try {
        dmsetupNow('remove', '--deferred', mapped.name);
        for (const params of ['dm-name=bench-disk', mapped.kernelPath]) {
          const vbd = await fixture.vbd(params);
          const error = await failure('EGOING', fixture.attach(vbd));
          assert.match(error.message, /bench-disk is marked for deferred removal/);
          await fixture.assertTakenBack(vbd, error);
        }
      } finally {
        closeSync(holder);
      }
    }),
  );
});

async function twoDisks(bench: Bench): Promise<{ mapped: Mapped; other: Mapped }> {
  const mapped = await bench.linear(MARKER, { name: 'bench-disk', uuid: 'BENCH-disk' });
  const other = await bench.linear(OTHER, { name: 'bench-other', uuid: 'BENCH-other' });
  return { mapped, other };
}

/** Returns an `onStep` that calls `happen` when a certain step has been done. */
function at(wanted: AttachStep, happen: () => void): NonNullable<AttachOptions['onStep']> {
  return (step) => {
    if (step === wanted) happen();
  };
}
