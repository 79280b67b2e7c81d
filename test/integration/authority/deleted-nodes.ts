import assert from 'node:assert/strict';
import { failure } from '../../bed/assertions.js';
import type { Held } from '../../bed/blkback.js';
import { deleteVbd, type Vbd } from '../../bed/toolstack.js';
import type { HotplugFixture } from '../hotplug/fixture.js';
import { GUISES, type Kind, withGround } from './ground.js';
import { assertBusy, assertWaitsFor, secondVbd } from './guests.js';

/** A situation in which blkback holds a device whose nodes are gone. */
interface Moment {
  readonly title: string;
  readonly hold: Held;
  /** The kinds for which the kernel can tell. It does not tell who has a plain disk open. */
  readonly kinds: readonly Kind[];
}

const MOMENTS: readonly Moment[] = [
  { title: 'sysfs shows the vbd still', hold: 'events', kinds: ['file', 'disk', 'mapper'] },
  { title: 'sysfs shows it no more', hold: 'close', kinds: ['file', 'mapper'] },
];

type End = (fixture: HotplugFixture, vbd: Vbd, hold: Held) => Promise<void>;

/**
 * The toolstack asks for the end of the vbd, the guest or blkback does not get there, and `remove`
 * gives up.
 */
const afterRemove: End = async (fixture, vbd, hold) => {
  if (hold === 'close') {
    await fixture.close(vbd);
    await fixture.logged(vbd, 'removed');
  } else {
    await fixture.store.write(`${vbd.backendPath}/online`, '0');
    await fixture.store.write(`${vbd.backendPath}/state`, '5');
  }
  // The remove may know of nothing to wait for, and then it succeeds.
  await fixture.detach(vbd, { timeoutMs: 800 }).catch(() => undefined);
  await deleteVbd(fixture.store, vbd);
};

const withoutRemove: End = async (fixture, vbd, hold) => {
  await deleteVbd(fixture.store, vbd);
  if (hold === 'close') await fixture.logged(vbd, 'removed');
};

const ENDS = [
  ['the nodes are deleted after a remove that gave up', afterRemove],
  ['the nodes are deleted', withoutRemove],
] as const;

/** Defines the tests of deleted nodes for one kind of target. */
export function defineDeletedNodes(kind: Kind): void {
  for (const guise of GUISES) {
    for (const { title, hold, kinds } of MOMENTS) {
      if (!kinds.includes(kind)) continue;
      for (const [how, end] of ENDS) {
        it(
          `${how} while blkback holds the device, ${title}: another guest's add is refused (${guise})`,
          withGround(kind, { guise }, async (fixture, ground) => {
            const vbd = await fixture.vbd(ground.path);
            await fixture.attach(vbd);
            await fixture.blkback.hold(hold, vbd.key);
            await end(fixture, vbd, hold);
            await assertBusy(fixture, ground);
          }),
        );
      }

      it(
        `blkback lets go during another guest's add, ${title}: then that one gets it (${guise})`,
        withGround(kind, { guise }, async (fixture, ground) => {
          const vbd = await fixture.vbd(ground.path);
          await fixture.attach(vbd);
          await fixture.blkback.hold(hold, vbd.key);
          await withoutRemove(fixture, vbd, hold);
          const other = await secondVbd(fixture, ground);
          await assertWaitsFor(fixture, other, vbd, () => fixture.blkback.release(hold, vbd.key));
        }),
      );
    }

    if (kind !== 'disk') {
      it(
        `the same vbd is made anew while blkback still holds its device: it waits, or is refused (${guise})`,
        withGround(kind, { guise }, async (fixture, ground) => {
          const vbd = await fixture.vbd(ground.path);
          await fixture.attach(vbd);
          await fixture.blkback.hold('close', vbd.key);
          await withoutRemove(fixture, vbd, 'close');
          const again = await fixture.vbd(ground.path, { devid: 51712 });
          assert.equal(again.key, vbd.key);
          await failure('EBUSY', fixture.attach(again, { timeoutMs: 3000 }));
          assert.equal(fixture.events(vbd, 'opened').length, 1);
          await assertWaitsFor(fixture, again, vbd, () =>
            fixture.blkback.release('close', vbd.key),
          );
        }),
      );
    }

    it(
      `list, show and check name a vbd whose nodes are gone while blkback has its device open (${guise})`,
      withGround(kind, { guise }, async (fixture, ground) => {
        const vbd = await fixture.vbd(ground.path);
        await fixture.attach(vbd);
        const { dev = '' } = await fixture.logged(vbd, 'opened');
        const devnum = dev.split(':').map((part) => Number.parseInt(part, 16));
        await fixture.blkback.hold('events', vbd.key);
        await deleteVbd(fixture.store, vbd);

        const list = await fixture.cli(['list']);
        assert.equal(list.status, 0, list.stderr);
        assert.match(list.stdout, new RegExp(`^${vbd.key} .*$`, 'm'));
        assert.match(list.stdout, /gone/);
        const listed = JSON.parse((await fixture.cli(['list', '--json'])).stdout).vbds.find(
          ({ backend }: { backend: string }) => backend === vbd.backendPath,
        );
        assert.deepEqual([listed?.devnum, listed?.opened], [devnum.join(':'), true]);

        const show = await fixture.cli(['show', vbd.key]);
        assert.equal(show.status, 0, show.stderr);
        assert.match(show.stdout, /gone/);
        assert.ok(show.stdout.includes(devnum.join(':')), show.stdout);

        const check = await fixture.cli(['check', ground.path, '--mode', 'w', '--frontend', '9']);
        assert.equal(check.status, 3, check.stdout);
        assert.match(check.stdout, /domain 7|7\/51712/);
        const json = await fixture.cli(['check', ground.path, '--mode', 'w', '--json']);
        const { verdict, conflicts } = JSON.parse(json.stdout);
        assert.deepEqual([verdict, conflicts[0]?.backend], ['busy', vbd.backendPath]);
      }),
    );
  }
}
