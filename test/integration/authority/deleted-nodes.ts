import assert from 'node:assert/strict';
import type { Held } from '../../bed/blkback.js';
import { deleteVbd, type Vbd } from '../../bed/toolstack.js';
import { failure, type Stage } from '../hotplug/stage.js';
import { GUISES, type Kind, withGround } from './ground.js';
import { assertBusy, assertWaitsFor, secondVbd } from './guests.js';

/** How blkback comes to hold a device whose nodes are gone. */
interface Moment {
  readonly title: string;
  readonly hold: Held;
  /** Where the kernel lets one know: nobody can tell who has a plain disk open. */
  readonly kinds: readonly Kind[];
}

const MOMENTS: readonly Moment[] = [
  { title: 'sysfs shows the vbd still', hold: 'events', kinds: ['file', 'disk', 'mapper'] },
  { title: 'sysfs shows it no more', hold: 'close', kinds: ['file', 'mapper'] },
];

type End = (stage: Stage, vbd: Vbd, hold: Held) => Promise<void>;

/** The toolstack asks for the end, the guest or blkback does not come to it, `remove` gives up. */
const afterRemove: End = async (stage, vbd, hold) => {
  if (hold === 'close') {
    await stage.close(vbd);
    await stage.logged(vbd, 'removed');
  } else {
    await stage.store.write(`${vbd.backendPath}/online`, '0');
    await stage.store.write(`${vbd.backendPath}/state`, '5');
  }
  // It may know of nothing that it could wait for.
  await stage.detach(vbd, { timeoutMs: 800 }).catch(() => undefined);
  await deleteVbd(stage.store, vbd);
};

const withoutRemove: End = async (stage, vbd, hold) => {
  await deleteVbd(stage.store, vbd);
  if (hold === 'close') await stage.logged(vbd, 'removed');
};

const ENDS = [
  ['the nodes are deleted after a remove that gave up', afterRemove],
  ['the nodes are deleted', withoutRemove],
] as const;

export function defineDeletedNodes(kind: Kind): void {
  for (const guise of GUISES) {
    for (const { title, hold, kinds } of MOMENTS) {
      if (!kinds.includes(kind)) continue;
      for (const [how, end] of ENDS) {
        it(
          `${how} while blkback holds the device, ${title}: another guest's add is refused (${guise})`,
          withGround(kind, { guise }, async (stage, ground) => {
            const vbd = await stage.vbd(ground.path);
            await stage.attach(vbd);
            await stage.blkback.hold(hold, vbd.key);
            await end(stage, vbd, hold);
            await assertBusy(stage, ground);
          }),
        );
      }

      it(
        `blkback lets go during another guest's add, ${title}: then that one gets it (${guise})`,
        withGround(kind, { guise }, async (stage, ground) => {
          const vbd = await stage.vbd(ground.path);
          await stage.attach(vbd);
          await stage.blkback.hold(hold, vbd.key);
          await withoutRemove(stage, vbd, hold);
          const other = await secondVbd(stage, ground);
          await assertWaitsFor(stage, other, vbd, () => stage.blkback.release(hold, vbd.key));
        }),
      );
    }

    if (kind !== 'disk') {
      it(
        `the same vbd is made anew while blkback still holds its device: it waits, or is refused (${guise})`,
        withGround(kind, { guise }, async (stage, ground) => {
          const vbd = await stage.vbd(ground.path);
          await stage.attach(vbd);
          await stage.blkback.hold('close', vbd.key);
          await withoutRemove(stage, vbd, 'close');
          const again = await stage.vbd(ground.path, { devid: 51712 });
          assert.equal(again.key, vbd.key);
          await failure('EBUSY', stage.attach(again, { timeoutMs: 3000 }));
          assert.equal(stage.events(vbd, 'opened').length, 1);
          await assertWaitsFor(stage, again, vbd, () => stage.blkback.release('close', vbd.key));
        }),
      );
    }

    it(
      `list, show and check name a vbd whose nodes are gone while blkback has its device open (${guise})`,
      withGround(kind, { guise }, async (stage, ground) => {
        const vbd = await stage.vbd(ground.path);
        await stage.attach(vbd);
        const { dev = '' } = await stage.logged(vbd, 'opened');
        const devnum = dev.split(':').map((part) => Number.parseInt(part, 16));
        await stage.blkback.hold('events', vbd.key);
        await deleteVbd(stage.store, vbd);

        const list = await stage.cli(['list']);
        assert.equal(list.status, 0, list.stderr);
        assert.match(list.stdout, new RegExp(`^${vbd.key} .*$`, 'm'));
        assert.match(list.stdout, /gone/);
        const listed = JSON.parse((await stage.cli(['list', '--json'])).stdout).vbds.find(
          ({ backend }: { backend: string }) => backend === vbd.backendPath,
        );
        assert.deepEqual([listed?.devnum, listed?.opened], [devnum.join(':'), true]);

        const show = await stage.cli(['show', vbd.key]);
        assert.equal(show.status, 0, show.stderr);
        assert.match(show.stdout, /gone/);
        assert.ok(show.stdout.includes(devnum.join(':')), show.stdout);

        const check = await stage.cli(['check', ground.path, '--mode', 'w', '--frontend', '9']);
        assert.equal(check.status, 3, check.stdout);
        assert.match(check.stdout, /domain 7|7\/51712/);
        const json = await stage.cli(['check', ground.path, '--mode', 'w', '--json']);
        const { verdict, conflicts } = JSON.parse(json.stdout);
        assert.deepEqual([verdict, conflicts[0]?.backend], ['busy', vbd.backendPath]);
      }),
    );
  }
}
