import assert from 'node:assert/strict';
import { BlockDevice } from '../../../src/block/block-device.js';
import { O_PATH, OwnedFd } from '../../../src/linux/fd.js';
import {
  isUnpublished,
  publish,
  publishSteps,
  toPublication,
} from '../../../src/vbd/publish-device.js';
import { unpublish } from '../../../src/vbd/unpublish.js';
import { VbdBackend } from '../../../src/vbd/vbd-backend.js';
import type { VbdInstance } from '../../../src/vbd/vbd-instance.js';
import { parseVbdPath, type VbdPath } from '../../../src/vbd/vbd-path.js';
import type { Xenstore } from '../../../src/xenstore/xenstore.js';
import { storeAnswering } from '../hotplug/store-answering.js';

const vbd = parseVbdPath('backend/vbd/7/51712') as VbdPath;
const publication = {
  'physical-device': '7:a3',
  'physical-device-path': '/dev/loop163',
  diskseq: '1f',
};

const seen = new VbdBackend(
  new Map([
    ['frontend', Buffer.from('/local/domain/7/device/vbd/51712')],
    ['params', Buffer.from('/dev/a')],
    ['mode', Buffer.from('w')],
  ]),
  undefined,
);

describe('toPublication', () => {
  let fd: OwnedFd;
  before(async () => {
    fd = await OwnedFd.open('/dev/null', O_PATH);
  });
  after(() => fd.close());

  const device = (diskseq: bigint) =>
    new BlockDevice(
      fd,
      {
        devnum: { major: 253, minor: 0x12345 },
        diskseq,
        partition: undefined,
        loop: undefined,
        mapper: undefined,
      },
      '/dev/mapper/x',
    );

  it('gives number and diskseq in lower-case hex without padding', () => {
    assert.deepEqual(toPublication(device(0xabcn), 'key'), {
      'physical-device': 'fd:12345',
      'physical-device-path': '/dev/mapper/x',
      diskseq: 'abc',
    });
  });

  it('puts the diskseq before the number in the inline dialect', () => {
    assert.deepEqual(toPublication(device((1n << 64n) - 1n), 'inline'), {
      'physical-device': 'ffffffffffffffff@fd:12345',
      'physical-device-path': '/dev/mapper/x',
      diskseq: 'ffffffffffffffff',
    });
  });
});

describe('publishSteps', () => {
  const steps = publishSteps(vbd, seen, publication, false);
  const at = (node: string) => `backend/vbd/7/51712/${node}`;

  it('is guards, then removals, then writes, with physical-device last', () => {
    assert.deepEqual(steps, [
      {
        op: 'expect',
        path: at('frontend'),
        value: Buffer.from('/local/domain/7/device/vbd/51712'),
      },
      { op: 'expect', path: at('params'), value: Buffer.from('/dev/a') },
      { op: 'expect', path: at('mode'), value: Buffer.from('w') },
      { op: 'exists', path: at('dev') },
      { op: 'expect', path: at('state'), value: '2' },
      { op: 'expect', path: at('physical-device'), value: undefined },
      { op: 'remove', path: 'error/backend/vbd/7/51712/error' },
      { op: 'write', path: at('physical-device-path'), value: '/dev/loop163' },
      { op: 'write', path: at('diskseq'), value: '1f' },
      { op: 'write', path: at('physical-device'), value: '7:a3' },
    ]);
  });

  it('expects that blkback, where it says so, has opened nothing yet', () => {
    const [first, ...others] = publishSteps(vbd, seen, publication, true);
    assert.deepEqual(first, { op: 'expect', path: at('opened'), value: '0' });
    assert.deepEqual(others, steps);
  });
});

describe('publish', () => {
  /**
   * Returns an instance without an `opened` node, which is the kernel's present instance or is not.
   */
  const instance = (isCurrent = true): VbdInstance =>
    ({ vbd, directory: { isCurrent: () => isCurrent }, keepsOpenedNode: false }) as VbdInstance;
  const indexOf = (node: string) =>
    publishSteps(vbd, seen, publication, false).findIndex(({ path }) => path.endsWith(node));

  for (const [what, node, found, code, named] of [
    ['the backend is gone', '/frontend', undefined, 'EGONE', 'frontend'],
    ['dev is gone', '/dev', undefined, 'EGONE', '/dev'],
    ['the state node is gone', '/state', undefined, 'EGONE', '/state'],
    ['another disk is asked for now', '/params', '/dev/b', 'ESTATE', 'asked for now'],
    ['blkback is closing', '/state', '5', 'ESTATE', '"5"'],
    ['blkback is not ready', '/state', '1', 'ESTATE', '"1"'],
    ['another has published', '/physical-device', '8:0', 'ERACE', '"8:0"'],
    ['another has published nothing', '/physical-device', '', 'ERACE', '""'],
  ] as const) {
    it(`throws ${code} where ${what}, and leaves it at that`, async () => {
      const { store, steps } = storeAnswering({
        committed: false,
        failed: indexOf(node),
        found: found === undefined ? undefined : Buffer.from(found),
      });
      await assert.rejects(publish(store, instance(), seen, publication, {}), (error: Error) => {
        assert.equal('code' in error && error.code, code);
        assert.ok(error.message.includes(named), error.message);
        return true;
      });
      assert.equal(steps.length, publishSteps(vbd, seen, publication, false).length);
    });
  }

  it('publishes nothing for a vbd that was made anew before the commit', async () => {
    const transact: Xenstore['transact'] = async (steps, options) => {
      assert.equal(options?.confirm?.(), false);
      return { committed: false, failed: steps.length, found: undefined };
    };
    const store = { transact } as Xenstore;
    const committed: string[] = [];
    const onCommit = () => void committed.push('told');
    const published = publish(store, instance(false), seen, publication, { onCommit });
    await assert.rejects(published, { code: 'ERACE' });
    assert.deepEqual(committed, []);
  });

  it('says of its own refusals, and of no other error, that nothing was published', async () => {
    const { store } = storeAnswering({ committed: false, failed: 0, found: undefined });
    const refused = await publish(store, instance(), seen, publication, {}).catch((error) => error);
    assert.equal(isUnpublished(refused), true);
    assert.equal(isUnpublished(new Error('cut off')), false);
  });

  it('is done when the transaction is committed', async () => {
    const { store, steps } = storeAnswering({ committed: true });
    await publish(store, instance(), seen, publication, {});
    assert.deepEqual(steps, publishSteps(vbd, seen, publication, false));
  });
});

describe('unpublish', () => {
  it('removes the nodes only below a backend that is there and still has our value', async () => {
    const { store, steps } = storeAnswering({ committed: true });
    await unpublish(store, vbd, publication, {});
    const guards = steps.slice(0, 2);
    assert.deepEqual(guards, [
      { op: 'exists', path: 'backend/vbd/7/51712/frontend' },
      { op: 'expect', path: 'backend/vbd/7/51712/physical-device', value: '7:a3' },
    ]);
    assert.deepEqual(
      steps
        .slice(2)
        .map(({ op, path }) => `${op} ${path}`)
        .sort(),
      ['diskseq', 'physical-device', 'physical-device-path'].map(
        (node) => `remove backend/vbd/7/51712/${node}`,
      ),
    );
  });

  it('is content when the device is not ours any more', async () => {
    const { store } = storeAnswering({ committed: false, failed: 1, found: Buffer.from('8:0') });
    await unpublish(store, vbd, publication, {});
  });
});
