import assert from 'node:assert/strict';
import { only } from '../../bed/assertions.js';
import { needs } from '../../bed/needs.js';
import { beforeWriting } from './before-writing.js';
import { HOTPLUG_NODES, on } from './fixture.js';

describe('detach', () => {
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  it(
    'leaves what another add has published since it began: that vbd was made anew',
    on({}, async (fixture) => {
      const vbd = await fixture.vbd(fixture.image());
      const add = (): Promise<unknown> => fixture.attach(vbd);
      const store = beforeWriting(fixture.store, 'physical-device', add, 'remove');
      await fixture.detachThrough(store, vbd);
      await fixture.assertConnected(vbd, only(fixture.loops()));
    }),
  );

  for (const [node, newer] of [
    ['physical-device', '7:c'],
    ['diskseq', '6'],
  ] as const) {
    it(
      `does not take back a publication that is newer than its look, with another ${node}`,
      on({ noOpen: true }, async (fixture) => {
        const seen = { 'physical-device': '7:b', diskseq: '5' };
        const vbd = await fixture.vbd(fixture.image(), { extra: seen });
        const publish = () => fixture.store.write(`${vbd.backendPath}/${node}`, newer);
        const store = beforeWriting(fixture.store, 'physical-device', publish, 'remove');
        await fixture.detachThrough(store, vbd);
        const left = await fixture.nodes(vbd, 'physical-device', 'diskseq');
        assert.deepEqual(left, Object.values({ ...seen, [node]: newer }));
      }),
    );
  }

  for (const value of ['hello', '', '7', 'ffff:0', '0:0']) {
    it(
      `succeeds where physical-device is ${JSON.stringify(value)}`,
      on({ noOpen: true }, async (fixture) => {
        const vbd = await fixture.vbd(fixture.image(), { extra: { 'physical-device': value } });
        await fixture.close(vbd);
        await fixture.detach(vbd);
        assert.deepEqual(
          await fixture.nodes(vbd, ...HOTPLUG_NODES),
          HOTPLUG_NODES.map(() => undefined),
        );
      }),
    );
  }
});
