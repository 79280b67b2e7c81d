import assert from 'node:assert/strict';
import { setFrontendState, type Vbd, waitState } from '../../bed/toolstack.js';
import type { HotplugFixture } from '../hotplug/fixture.js';
import { type Ground, GUISES, type Kind, withGround } from './ground.js';
import { assertBusy, assertRemoved } from './guests.js';

/** Closes the frontend as a guest does that reboots or halts, some time before the detach. */
async function closeFrontend(fixture: HotplugFixture, vbd: Vbd): Promise<void> {
  await setFrontendState(fixture.store, vbd, 4);
  await waitState(fixture.store, vbd, '4');
  await setFrontendState(fixture.store, vbd, 6);
  await waitState(fixture.store, vbd, '6');
  // blkback reads `online` only after it has written the state.
  await fixture.blkback.release('open', '*');
}

const PARAMS: Readonly<Record<Kind, readonly ((ground: Ground) => string)[]>> = {
  file: [({ path }) => path, ({ path }) => `path=${path},autoclear=no`],
  disk: [({ path }) => path],
  mapper: [({ path }) => path, ({ path }) => `path=${path},layer=linear`],
};

/** Defines the tests of detaching for one kind of target. */
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
          // libxl does the same: the state is 6 already, so it has nothing to wait for.
          await fixture.store.write(`${vbd.backendPath}/online`, '0');
          const { milliseconds } = await assertRemoved(fixture, vbd);
          // A wait in vain would take 14 s. The start of the script alone takes up to 3 s on a busy
          // machine.
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
