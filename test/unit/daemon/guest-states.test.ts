import assert from 'node:assert/strict';
import { GuestStates } from '../../../src/daemon/guest-states.js';
import { vbdPath } from '../../../src/vbd/vbd-path.js';

describe('The states of guests', () => {
  const vbd = vbdPath(7, 51712);

  it('are told when they change, but not the one in which blkback waits for the guest', () => {
    const told: (string | undefined)[] = [];
    const states = new GuestStates(({ state }) => told.push(state));
    const note = (...seen: (string | undefined)[]): void => {
      for (const state of seen) states.note(vbd, state);
    };
    note('2', '2', undefined, '4', '4');
    assert.deepEqual(told.splice(0), ['4']);
    // A guest that reboots.
    note('5', '6', '2', '4');
    assert.deepEqual(told.splice(0), ['5', '6', '2', '4']);
    states.forget(vbd);
    note('2');
    assert.deepEqual(told, []);
  });
});
