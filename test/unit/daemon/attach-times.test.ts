import assert from 'node:assert/strict';
import { AttachTimes } from '../../../src/daemon/attach-times.js';
import type { VbdEvent } from '../../../src/daemon/vbd-event.js';
import { vbdPath } from '../../../src/vbd/vbd-path.js';

describe('AttachTimes', () => {
  const vbd = vbdPath(7, 51712);
  const time = new Date(5000);
  const add = (step: VbdEvent['step'], diskseq?: bigint): VbdEvent => ({
    ...{ time, vbd, action: 'add', step, detail: '', diskseq },
  });
  const remembered = (...events: VbdEvent[]) => {
    const times = new AttachTimes();
    for (const event of events) times.note(event);
    return times.find(vbd);
  };

  it('knows when a vbd was attached, and which device', () => {
    assert.deepEqual(remembered(add('published'), add('attached', 9n)), { time, diskseq: 9n });
  });

  it('does not claim a vbd that was published before', () => {
    assert.equal(remembered(add('planned'), add('attached', 9n)), undefined);
    assert.equal(remembered(add('published'), add('failed'), add('attached', 9n)), undefined);
  });

  it('forgets a vbd that is removed, and keeps one that another add finds attached', () => {
    const attached = [add('published'), add('attached', 9n)];
    assert.equal(remembered(...attached, { ...add('planned'), action: 'remove' }), undefined);
    assert.deepEqual(remembered(...attached, add('planned'), add('attached', 9n)), {
      time,
      diskseq: 9n,
    });
  });
});
