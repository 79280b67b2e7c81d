import assert from 'node:assert/strict';
import type { Xenstore } from '../../../src/xenstore/xenstore.js';
import { only } from '../../bed/assertions.js';
import { linear, type Mapped } from '../../bed/mapper.js';
import { needs } from '../../bed/needs.js';
import { deleteVbd, type Vbd } from '../../bed/toolstack.js';
import type { HotplugFixture } from '../hotplug/fixture.js';
import { hold } from '../hotplug/holder.js';
import { type Bench, layers, settled, withMapper } from './bench.js';

/** Makes a layer that nobody has open, as an add does just before it opens the layer. */
async function makeIdleLayer(bench: Bench, vbd: Vbd): Promise<Mapped> {
  const disk = await bench.disk('the disk of the new vbd');
  const id = `${vbd.key.replace('/', '-')}-fresh`;
  return await bench.mapped(`xenvbd-${id}`, linear(disk.path), { uuid: `XENVBD-${id}` });
}

const names = async (): Promise<string[]> => (await layers()).map(({ name }) => name);

/** Attaches a layer, which a process keeps open when blkback and the nodes are gone. */
async function leaveLayer(fixture: HotplugFixture) {
  const vbd = await fixture.vbd(`path=${fixture.image()},layer=linear`);
  await fixture.attach(vbd);
  const holder = await hold(only(await layers()).kernelPath);
  await deleteVbd(fixture.store, vbd);
  await fixture.logged(vbd, 'closed');
  return { vbd, holder };
}

describe('The clean-up of a vbd whose nodes are gone', () => {
  before(function () {
    needs(this, 'root', 'loop', 'xenstored', 'mapper');
  });

  it(
    'leaves the layer alone that an add makes for the new vbd while the clean-up waits',
    withMapper({}, async (fixture, bench) => {
      const { vbd, holder } = await leaveLayer(fixture);
      await using _holder = holder;
      const old = only(await names());
      let planned = (): void => undefined;
      const isPlanned = new Promise<void>((resolve) => {
        planned = resolve;
      });
      const detached = fixture.detach(vbd, { onlyIfGone: true, onStep: planned });
      await isPlanned;
      const fresh = await makeIdleLayer(bench, vbd);
      await holder.end();
      await detached;
      assert.deepEqual(await names(), [fresh.name], `${old} is to go, and ${fresh.name} to stay`);
    }),
  );

  it(
    'leaves the layer alone that an add makes just when the clean-up has read the nodes',
    withMapper({}, async (fixture, bench) => {
      const { vbd, holder } = await leaveLayer(fixture);
      await holder.end();
      await settled(async () => assert.deepEqual(await names(), []));
      let fresh: Mapped | undefined;
      const readMany: Xenstore['readMany'] = async (paths, options) => {
        const values = await fixture.store.readMany(paths, options);
        if (paths.includes(`${vbd.backendPath}/params`)) fresh ??= await makeIdleLayer(bench, vbd);
        return values;
      };
      const store = new Proxy(fixture.store, {
        get(target, name) {
          if (name === 'readMany') return readMany;
          const value: unknown = Reflect.get(target, name);
          return typeof value === 'function' ? value.bind(target) : value;
        },
      });
      await fixture.detachThrough(store, vbd, { onlyIfGone: true });
      assert.deepEqual(await names(), [fresh?.name]);
    }),
  );
});
