import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { VbdEvent } from '../../../src/daemon/vbd-event.js';
import { VbdJobs } from '../../../src/daemon/vbd-jobs.js';
import { SystemError } from '../../../src/linux/errno.js';
import { ERRNO } from '../../../src/util/errno.js';
import { writeRecord } from '../../../src/vbd/record.js';
import { vbdPath } from '../../../src/vbd/vbd-path.js';
import { MemoryXenstored } from '../../store/memory.js';

describe('The jobs of the daemon, for a vbd whose nodes are gone', () => {
  const vbd = vbdPath(7, 51712);
  let runDirectory: string;
  beforeEach(() => {
    runDirectory = mkdtempSync(join(tmpdir(), 'xen-jobs-'));
    mkdirSync(join(runDirectory, 'sysfs/bus/xen-backend/devices'), { recursive: true });
  });
  afterEach(() => rmSync(runDirectory, { recursive: true, force: true }));

  /** Lets the nodes of the vbd go where the layers cannot be listed; returns all failures told. */
  async function failuresOf(error: Error): Promise<VbdEvent[]> {
    const events: VbdEvent[] = [];
    const options = {
      timeoutMs: 1000,
      uapi: 'key',
      sysfs: join(runDirectory, 'sysfs'),
      runDirectory,
      onEvent: (event: VbdEvent) => events.push(event),
    } as const;
    const store = new MemoryXenstored().connect();
    const jobs = new VbdJobs(store, options, () => Promise.reject(error));
    await jobs.onBackendRemoved(vbd);
    await store.close();
    return events.filter(({ step }) => step === 'failed');
  }

  const refusal = SystemError.fromErrno('DM_LIST_DEVICES', '/dev/mapper/control', ERRNO.EMFILE);

  it('tell it where device-mapper does not tell which layers are left', async () => {
    const [failed, ...more] = await failuresOf(refusal);
    assert.deepEqual(more, []);
    assert.deepEqual(
      [failed?.action, failed?.vbd.backend, failed?.code],
      ['remove', vbd.backend, 'EMFILE'],
    );
    assert.match(failed?.detail ?? '', /DM_LIST_DEVICES/);
  });

  it('still undo what the record of the vbd says', async () => {
    const device = { devnum: { major: 7, minor: 99_999 }, diskseq: 9n, path: '/dev/loop99999' };
    writeRecord(runDirectory, vbd, { ...device, unbind: true });
    await failuresOf(refusal);
    // The detach has run: it removes the record at its end, or fails and tells that.
    const { readRecordLeniently } = await import('../../../src/vbd/record.js');
    assert.equal(readRecordLeniently(runDirectory, vbd), undefined);
  });
});
