import assert from 'node:assert/strict';
import {
  describeEvent,
  eventFields,
  type VbdEvent,
  VbdSteps,
} from '../../../src/daemon/vbd-event.js';
import { SystemError } from '../../../src/linux/errno.js';
import { parseVbdPath } from '../../../src/vbd/vbd-path.js';

describe('what happens to a vbd', () => {
  const vbd = parseVbdPath('backend/vbd/7/51712');
  assert.ok(vbd);
  let events: VbdEvent[];
  let steps: VbdSteps;
  beforeEach(() => {
    events = [];
    steps = new VbdSteps(vbd, 'add', (event) => events.push(event));
  });
  const only = (): VbdEvent => {
    const [event, ...more] = events;
    assert.deepEqual(more, []);
    assert.ok(event);
    return event;
  };

  it('is told with its time', () => {
    const before = Date.now();
    steps.step('opened', '/dev/loop0');
    const event = only();
    assert.ok(event.time.getTime() >= before && event.time.getTime() <= Date.now());
    assert.equal(describeEvent(event), '7/51712: opened: /dev/loop0');
  });

  it('is told with device and diskseq when it has come out well', () => {
    const publication = {
      'physical-device': '7:0',
      'physical-device-path': '/dev/loop0',
      diskseq: '1f',
    };
    const backend = vbd.backend;
    steps.attached({ backend, publication, openedBy: 'sysfs', already: false, warnings: [] });
    assert.deepEqual(eventFields(only()), {
      XEN_BLKBACK_BACKEND: 'backend/vbd/7/51712',
      XEN_BLKBACK_DOMID: '7',
      XEN_BLKBACK_DEVID: '51712',
      XEN_BLKBACK_ACTION: 'add',
      XEN_BLKBACK_STEP: 'attached',
      XEN_BLKBACK_DEVICE: '/dev/loop0',
      DISKSEQ: '31',
    });
  });

  it('is told of what is odd before it is told that it has come out well', () => {
    const publication = {
      'physical-device': '7:0',
      'physical-device-path': '/dev/x',
      diskseq: '1',
    };
    const backend = vbd.backend;
    const result = { backend, publication, openedBy: 'key', already: true } as const;
    steps.attached({ ...result, warnings: ['odd\nthing'] });
    assert.deepEqual(events.map(describeEvent), [
      '7/51712: warned: odd thing',
      '7/51712: attached: /dev/x, open in blkback as key tells; it was published before',
    ]);
  });

  it('is told with code and errno when it has failed', () => {
    steps.failed(SystemError.fromErrno('open', '/dev/x', 6));
    const event = only();
    assert.match(describeEvent(event), /^7\/51712: add failed: open \/dev\/x: /);
    const { XEN_BLKBACK_CODE, ERRNO, DISKSEQ } = eventFields(event);
    assert.deepEqual([XEN_BLKBACK_CODE, ERRNO, DISKSEQ], ['ENXIO', '6', undefined]);
  });

  it('is told in one line, and with a code, whatever was thrown', () => {
    steps.failed('a\nb');
    assert.equal(only().detail, 'a b');
    assert.equal(only().code, 'EINTERNAL');
  });
});
