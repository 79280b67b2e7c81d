import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { devnumOf } from '../../bed/images.js';
import type { Mapped } from '../../bed/mapper.js';
import { needs } from '../../bed/needs.js';
import { type HotplugFixture, MARKER } from '../hotplug/fixture.js';
import { type Bench, dmsetupNow, withMapper } from './bench.js';

/** A way to name a mapper device. What the way makes for that goes with the bed of the test. */
interface Way {
  readonly title: string;
  readonly params: (mapped: Mapped, fixture: HotplugFixture) => string;
  /** The name of the device, if the way works only with that name. */
  readonly name?: string;
}

const WAYS: readonly Way[] = [
  { title: 'its name', params: ({ name }) => `dm-name=${name}` },
  { title: 'its UUID', params: ({ uuid }) => `dm-uuid=${uuid}` },
  { title: '/dev/mapper/NAME', params: ({ path }) => path },
  { title: '/dev/dm-N', params: ({ kernelPath }) => kernelPath },
  {
    title: 'a link by its UUID',
    params: ({ uuid, kernelPath }) => link(`/dev/disk/by-id/dm-uuid-${uuid}`, kernelPath),
  },
  {
    title: "LVM's link",
    name: 'bench--group-root--disk',
    params: ({ kernelPath }) =>
      link('/dev/bench-group/root-disk', `../${kernelPath.slice('/dev/'.length)}`),
  },
  {
    title: 'a link elsewhere',
    params: ({ path }, fixture) => link(join(fixture.bed.directory, 'a-disk'), path),
  },
  {
    title: 'a device node elsewhere',
    params: ({ kernelPath }, fixture) => node(join(fixture.blkback.devDir, 'a-disk'), kernelPath),
  },
  {
    title: 'a name with unusual characters',
    name: 'a disk,of my own',
    params: ({ name }) => `dm-name=${name.replaceAll(',', '\\,')}`,
  },
  { title: 'diskseq', params: ({ diskseq }) => `diskseq=${diskseq}` },
  {
    title: 'its name and diskseq',
    params: ({ name, diskseq }) => `dm-name=${name},diskseq=${diskseq}`,
  },
];

describe('attach of a mapper device', () => {
  before(function () {
    needs(this, 'root', 'loop', 'xenstored', 'mapper');
  });

  for (const { title, params, name = 'bench-disk' } of WAYS) {
    it(
      `by ${title}: blkback has the right disk, and it stays when the guest is gone`,
      withMapper({ guise: 'diskseq' }, async (fixture, bench) => {
        // A neighbour has another content, so that a mix-up would be seen.
        await bench.linear('the wrong disk');
        const mapped = await bench.linear(MARKER, { name, uuid: 'BENCH-disk' });
        const vbd = await fixture.vbd(params(mapped, fixture));
        await fixture.attach(vbd);
        // The node has the kernel's own path, because a link may lead elsewhere when QEMU opens it.
        await fixture.assertConnected(vbd, mapped.kernelPath, mapped.diskseq);
        const { dev, bytes } = await fixture.logged(vbd, 'opened');
        assert.deepEqual([dev, bytes], [mapped.devnum, MARKER]);
        await fixture.close(vbd);
        await fixture.detach(vbd);
        fixture.assertNothingLeft();
        assert.equal(devnumOf(mapped.path), mapped.devnum);
      }),
    );
  }

  for (const guise of ['stock', 'diskseq'] as const) {
    it(
      `the script adds and removes one for a ${guise} blkback, and prints nothing`,
      withMapper({ guise }, async (fixture, bench) => {
        const mapped = await bench.linear(MARKER, { uuid: 'BENCH-disk' });
        const vbd = await fixture.vbd(`dm-uuid=${mapped.uuid},deferred-remove=no`);
        const added = await fixture.script(vbd, 'add');
        assert.deepEqual([added.status, added.stdout, added.stderr], [0, '', '']);
        await fixture.assertConnected(vbd, mapped.kernelPath, mapped.diskseq);
        assert.equal((await fixture.logged(vbd, 'opened')).bytes, MARKER);
        await fixture.close(vbd);
        const removed = await fixture.script(vbd, 'remove');
        assert.deepEqual([removed.status, removed.stdout, removed.stderr], [0, '', '']);
        fixture.assertNothingLeft();
      }),
    );
  }

  it(
    'adds twice: the second time it says that it was attached already',
    withMapper({}, async (fixture, bench) => {
      const { name } = await bench.linear(MARKER);
      const vbd = await fixture.vbd(`dm-name=${name}`);
      assert.equal((await fixture.attach(vbd)).already, false);
      assert.equal((await fixture.attach(vbd)).already, true);
      assert.equal(fixture.events(vbd, 'opened').length, 1);
    }),
  );

  it(
    'adds a read-only one for reading, and refuses it for writing',
    withMapper({}, async (fixture, bench) => {
      const { name } = await bench.linear(MARKER, { readOnly: true });
      const reader = await fixture.vbd(`dm-name=${name}`, { mode: 'r' });
      await fixture.attach(reader);
      const { bytes, readOnly } = await fixture.logged(reader, 'opened');
      assert.deepEqual([bytes, readOnly], [MARKER, 1]);
      const writer = await fixture.vbd(`dm-name=${name}`);
      const { status, stderr } = await fixture.script(writer, 'add');
      assert.equal(status, 1);
      assert.match(stderr, /read-only, and the guest is to write it/);
    }),
  );

  it(
    'keeps the device from being removed or made anew between add and open',
    withMapper({ hold: true }, async (fixture, bench) => {
      const mapped = await bench.linear(MARKER);
      const vbd = await fixture.vbd(`dm-name=${mapped.name}`);
      const refusals: string[] = [];
      const adding = fixture.attach(vbd, {
        onStep: (step) => {
          if (step !== 'opened' && step !== 'published') return;
          assert.throws(() => dmsetupNow('remove', mapped.name), /[Bb]usy/);
          refusals.push(step);
          if (step === 'published') void releaseOpen(fixture);
        },
      });
      await adding;
      assert.deepEqual(refusals, ['opened', 'published']);
      assert.equal((await fixture.logged(vbd, 'opened')).bytes, MARKER);
    }),
  );

  describe('while it is suspended', () => {
    it(
      'waits until it is resumed',
      withMapper({}, async (fixture, bench) => {
        const { name } = await suspended(bench);
        const vbd = await fixture.vbd(`dm-name=${name}`);
        const resume = new Promise((resolve) => setTimeout(resolve, 500)).then(() => {
          assert.deepEqual(fixture.events(vbd, 'physical-device'), [], 'it did not wait');
          dmsetupNow('resume', name);
        });
        await Promise.all([fixture.attach(vbd), resume]);
        assert.equal((await fixture.logged(vbd, 'opened')).bytes, MARKER);
      }),
    );

    it(
      'says so at the deadline, and has made nothing known',
      withMapper({}, async (fixture, bench) => {
        const { name } = await suspended(bench);
        const vbd = await fixture.vbd(`dm-name=${name}`);
        const error = await fixture.attach(vbd, { timeoutMs: 1200 }).then(
          () => assert.fail('it should have failed'),
          (reason: unknown) => reason as Error,
        );
        assert.match(error.message, new RegExp(`${name} is suspended`));
        assert.deepEqual(fixture.events(vbd, 'physical-device'), []);
        await fixture.assertTakenBack(vbd, error);
      }),
    );
  });
});

async function suspended(bench: Bench): Promise<Mapped> {
  const mapped = await bench.linear(MARKER);
  dmsetupNow('suspend', mapped.name);
  return mapped;
}

/** Releases a held open as soon as blkback is about to open the device. */
async function releaseOpen(fixture: HotplugFixture): Promise<void> {
  await fixture.blkback.waitFor(({ event }) => event === 'physical-device');
  fixture.blkback.kill('SIGUSR1');
}

/** Makes a link as udev, LVM or an administrator would, and replaces an existing link. */
function link(path: string, target: string): string {
  mkdirSync(dirname(path), { recursive: true });
  rmSync(path, { force: true });
  symlinkSync(target, path);
  return path;
}

/** Makes another node for the same device number. */
function node(path: string, device: string): string {
  const [major = '', minor = ''] = devnumOf(device)
    .split(':')
    .map((part) => String(Number.parseInt(part, 16)));
  execFileSync('mknod', ['--mode=600', path, 'b', major, minor]);
  return path;
}
