import assert from 'node:assert/strict';
import { setFrontendState, type Vbd, waitState } from '../../bed/toolstack.js';
import type { HotplugFixture } from '../hotplug/fixture.js';
import { type Ground, GUISES, type Kind, withGround } from './ground.js';
import { assertBusy, assertRemoved } from './guests.js';

/** The guest has closed its frontend some time ago, as one does that reboots or has halted. */
async function closeFrontend(fixture: HotplugFixture, vbd: Vbd): Promise<void> {
  await setFrontendState(fixture.store, vbd, 4);
  await waitState(fixture.store, vbd, '4');
  await setFrontendState(fixture.store, vbd, 6);
  await waitState(fixture.store, vbd, '6');
  // blkback reads `online` after it has written the state.
  await fixture.blkback.release('open', '*');
}

const PARAMS: Readonly<Record<Kind, readonly ((ground: Ground) => string)[]>> = {
  file: [({ path }) => path, ({ path }) => `path=${path},autoclear=no`],
  disk: [({ path }) => path],
  mapper: [({ path }) => path, ({ path }) => `path=${path},layer=linear`],
};

export function defineDetaching(kind: Kind): void {
  for (const guise of GUISES) {
    for (const params of PARAMS[kind]) {
      const shown = params({ path: 'PATH' } as Ground);
      it(
        `remove does not wait for what comes only after it, the guest having closed already: ${shown} (${guise})`,
        withGround(kind, { guise }, async (fixture, ground) => {
          const vbd = await fixture.vbd(params(ground));
          await fixture.attach(vbd);
          await closeFrontend(fixture, vbd);
          // What libxl does: state is 6 already, so that there is nothing for it to wait for.
          await fixture.store.write(`${vbd.backendPath}/online`, '0');
          const { milliseconds } = await assertRemoved(fixture, vbd);
          // A wait in vain would take 14 s; to start the script alone takes up to 3 s on a busy machine.
          assert.ok(milliseconds < 8000, `${milliseconds} ms`);
          assert.deepEqual(fixture.events(vbd, 'closed'), []);
          await assertBusy(fixture, ground);
          await fixture.delete(vbd);
          fixture.assertNothingLeft();
        }),
      );
    }
  }
}
