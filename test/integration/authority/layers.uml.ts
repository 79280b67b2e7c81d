import assert from 'node:assert/strict';
import { pause } from '../../../src/util/retry.js';
import { only } from '../../bed/assertions.js';
import { dmsetup, linear, mappedNames } from '../../bed/mapper.js';
import { needs } from '../../bed/needs.js';
import type { Vbd } from '../../bed/toolstack.js';
import { beforeWriting } from '../hotplug/before-writing.js';
import { type HotplugFixture, MARKER } from '../hotplug/fixture.js';
import { Uevents } from '../hotplug/uevents.js';
import { type Bench, layers, withMapper } from '../mapper/bench.js';
import { GUISES } from './ground.js';
import { SECOND } from './guests.js';

const openCount = async (name: string): Promise<number> =>
  Number(/^Open count: +(\d+)$/m.exec(await dmsetup('info', name))?.[1]);

describe('One file under two encrypted layers', function () {
  this.timeout(60_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored', 'mapper');
  });

  for (const guise of GUISES) {
    for (const base of ['file', 'disk'] as const) {
      it(
        `is refused, also to the stub domain of the guest that has the first: a ${base} (${guise} blkback)`,
        withMapper({ guise }, async (fixture, bench) => {
          await fixture.store.write('/local/domain/7/vm', '/vm/one');
          await fixture.store.write(`/local/domain/${SECOND}/vm`, '/vm/two');
          await fixture.store.write(`/local/domain/${SECOND}/target`, '7');
          const path = base === 'file' ? fixture.image() : (await bench.disk(MARKER)).path;
          const params = `path=${path},layer=crypt`;
          await fixture.attach(await fixture.vbd(params));
          const stub = await fixture.vbd(params, { frontend: SECOND });
          const { status, stderr } = await fixture.script(stub, 'add');
          assert.equal(status, 1);
          assert.match(stderr, /^xen-blkback: [^\n]*(layer|crypt)[^\n]*\n$/);
          assert.deepEqual(fixture.events(stub, 'opened'), []);
          only(await layers());
        }),
      );
    }
  }
});

describe('remove of a mapper device', function () {
  this.timeout(60_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored', 'mapper');
  });

  for (const guise of GUISES) {
    it(
      `returns when blkback has closed it, as its open count tells (${guise} blkback)`,
      withMapper({ guise, closeDelayMs: 500 }, async (fixture, bench) => {
        const { path, name } = await bench.linear(MARKER);
        const vbd = await fixture.vbd(path);
        await fixture.attach(vbd);
        await fixture.close(vbd);
        await fixture.detach(vbd);
        const [closed, count] = [fixture.events(vbd, 'closed').length, await openCount(name)];
        await fixture.logged(vbd, 'closed');
        assert.deepEqual([closed, count], [1, 0]);
      }),
    );

    it(
      `makes no uevent while blkback still has it open (${guise} blkback)`,
      withMapper({ guise }, async (fixture, bench) => {
        const { path, kernelPath } = await bench.linear(MARKER);
        const vbd = await fixture.vbd(path);
        await fixture.attach(vbd);
        await fixture.blkback.hold('close', vbd.key);
        await fixture.close(vbd);
        await fixture.logged(vbd, 'removed');
        await using uevents = await Uevents.listen();
        let returned = false;
        const removing = fixture.detach(vbd).then(() => {
          returned = true;
        });
        removing.catch(() => {});
        await pause(500);
        const seen = uevents.changesOf(kernelPath.slice('/dev/'.length));
        const early = returned;
        await fixture.blkback.release('close', vbd.key);
        await fixture.logged(vbd, 'closed');
        await removing;
        assert.deepEqual(seen, []);
        assert.equal(early, false, 'it has returned before the close');
      }),
    );
  }
});

/** Ways in which an attach fails after blkback has opened the device. */
const LATE: readonly (readonly [
  string,
  (fixture: HotplugFixture, vbd: Vbd) => Promise<unknown>,
])[] = [
  [
    'it is interrupted at the open',
    (fixture, vbd) => {
      const interrupt = new AbortController();
      const onStep = (step: string) => step === 'connected' && interrupt.abort(new Error('enough'));
      return fixture.attach(vbd, { signal: interrupt.signal, onStep });
    },
  ],
  [
    'it is interrupted when the device has been marked',
    (fixture, vbd) => {
      const interrupt = new AbortController();
      const onStep = (step: string) => step === 'marked' && interrupt.abort(new Error('enough'));
      return fixture.attach(vbd, { signal: interrupt.signal, onStep });
    },
  ],
  [
    'it cannot report',
    (fixture, vbd) =>
      fixture.attachThrough(
        beforeWriting(fixture.store, 'hotplug-status', async () => {
          throw new Error('xenstored is gone');
        }),
        vbd,
      ),
  ],
  [
    'the vbd goes before it can report',
    (fixture, vbd) =>
      fixture.attachThrough(
        beforeWriting(fixture.store, 'hotplug-status', async () => {
          await fixture.store.remove(vbd.backendPath);
          await fixture.logged(vbd, 'closed');
        }),
        vbd,
      ),
  ],
];

describe('deferred-remove=yes and an attach that fails late', function () {
  this.timeout(60_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored', 'mapper');
  });

  /** Makes a mapper device with a name of its own over a loop device that outlives it. */
  const deviceOf = async (bench: Bench) =>
    bench.mapped('bench-late', linear((await bench.disk(MARKER)).path));

  for (const guise of GUISES) {
    for (const [title, fail] of LATE) {
      it(
        `${title}: the device stays, unmarked (${guise} blkback)`,
        withMapper({ guise }, async (fixture, bench) => {
          const { name } = await deviceOf(bench);
          const vbd = await fixture.vbd(`dm-name=${name},deferred-remove=yes`);
          const outcome = await fail(fixture, vbd).then(
            () => 'attached',
            () => 'failed',
          );
          assert.ok((await mappedNames()).includes(name), 'it is gone');
          const marked = /DEFERRED REMOVE/.test(await dmsetup('info', name));
          // An attach that succeeded although it was disturbed has marked the device, as it was
          // asked to.
          assert.equal(marked, outcome === 'attached', outcome);
        }),
      );
    }
  }
});
