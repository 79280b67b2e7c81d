import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  reportAttachFailure,
  reportConnected,
  reportFailure,
} from '../../../src/hotplug/report-to-toolstack.js';
import { parseVbdPath, type VbdPath } from '../../../src/vbd/vbd-path.js';
import { readText } from '../../../src/xenstore/text.js';
import { temporaryDirectory } from '../../bed/paths.js';
import { MemoryXenstored } from '../../store/memory.js';
import { withReads } from '../../store/with-reads.js';
import { storeAnswering } from './store-answering.js';

const vbd = parseVbdPath('backend/vbd/7/51712') as VbdPath;
const at = (node: string) => `backend/vbd/7/51712/${node}`;

describe('reportConnected', () => {
  const publication = {
    'physical-device': '7:3',
    'physical-device-path': '/dev/loop3',
    diskseq: '9',
  };

  it('writes the status last, and only where our device still stands', async () => {
    const { store, steps } = storeAnswering({ committed: true });
    await reportConnected(store, vbd, publication, {});
    assert.deepEqual(steps, [
      { op: 'exists', path: at('frontend') },
      { op: 'expect', path: at('physical-device'), value: '7:3' },
      { op: 'remove', path: at('hotplug-error') },
      { op: 'write', path: at('hotplug-status'), value: 'connected' },
    ]);
  });

  it('throws EGONE where the backend was removed or changed hands', async () => {
    for (const found of [undefined, Buffer.from('8:0')]) {
      const { store } = storeAnswering({ committed: false, failed: found ? 1 : 0, found });
      await assert.rejects(reportConnected(store, vbd, publication, {}), {
        code: 'EGONE',
        message: /backend\/vbd\/7\/51712/,
      });
    }
  });
});

describe('reportFailure', () => {
  async function reported(error: unknown): Promise<string> {
    const { store, steps } = storeAnswering({ committed: true });
    await reportFailure(store, vbd, error, {});
    const [guard, message, status, ...others] = steps;
    assert.deepEqual(guard, { op: 'exists', path: vbd.backend });
    assert.deepEqual(status, { op: 'write', path: at('hotplug-status'), value: 'error' });
    assert.deepEqual(others, []);
    assert.ok(message?.op === 'write' && message.path === at('hotplug-error'));
    return String(message.value);
  }

  it('writes the sentence of the error, then the status', async () => {
    assert.equal(await reported(new Error('no such disk')), 'no such disk');
    assert.equal(await reported('thrown text'), 'thrown text');
  });

  it('makes one line of it', async () => {
    assert.equal(await reported(new Error('a\n\tb\r\nc')), 'a b c');
  });

  it('keeps it within what XenStore takes as one value', async () => {
    for (const letter of ['x', 'ü', '漢', '💾']) {
      const value = await reported(new Error(letter.repeat(5000)));
      // The quota of a driver domain is 2048 bytes for a node, and its name counts too.
      assert.ok(Buffer.byteLength(value) <= 2048 - 100, `${Buffer.byteLength(value)} bytes`);
      assert.equal(Buffer.from(value).toString(), value, 'a character was cut in two');
    }
  });

  it('is content when there is nobody to tell', async () => {
    const { store } = storeAnswering({ committed: false, failed: 0, found: undefined });
    await reportFailure(store, vbd, new Error('x'), {});
  });
});

describe('reportAttachFailure', () => {
  it('leaves it as it is that another add reports just then that the guest has its disk', async () => {
    const sysfs = temporaryDirectory();
    const directory = join(sysfs, 'bus/xen-backend/devices', vbd.sysfsName);
    mkdirSync(directory, { recursive: true });
    await using store = new MemoryXenstored().connect();
    await store.write(at('frontend'), '/local/domain/7/device/vbd/51712');
    await store.write(at('physical-device'), '7:3');
    const others = withReads(store, async (read) => {
      const values = await read();
      writeFileSync(join(directory, 'physical_device'), '7:3\n');
      await store.write(at('hotplug-status'), 'connected');
      return values;
    });
    const report = { sysfs, instance: undefined };
    await reportAttachFailure(others, vbd, new Error('interrupted'), report);
    assert.equal(await readText(store, at('hotplug-status')), 'connected');
    assert.equal(await readText(store, at('hotplug-error')), undefined);
    rmSync(sysfs, { recursive: true });
  });
});
