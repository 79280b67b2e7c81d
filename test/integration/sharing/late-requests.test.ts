import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { parseDevnum } from '../../../src/linux/devnum.js';
import { findLateRequests, parseInFlight } from '../../../src/sharing/late-requests.js';
import { poll } from '../../../src/util/poll.js';
import { vbdPath } from '../../../src/vbd/vbd-path.js';
import { FuseFiles } from '../../bed/fuse-files.js';
import { attachLoop } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';

type Wanted = Parameters<typeof findLateRequests>[0];

async function untilRequests(wanted: Wanted, expected: number | undefined): Promise<void> {
  await poll(AbortSignal.timeout(5000), async () => {
    return findLateRequests(wanted, [])?.requests === expected || undefined;
  });
}

describe('Requests to a disk that nobody is known to use', function () {
  this.timeout(30_000);
  before(function () {
    needs(this, 'root', 'loop', 'fuse');
  });

  it('are found while they last, and count for who wants to write the disk alone', async () => {
    await using files = await FuseFiles.mount({ disk: 1024 * 1024 });
    await using loop = await attachLoop(files.path('disk'));
    // sysfs has the numbers in decimal, and XenStore in hex.
    const number = Number.parseInt(loop.devnum.split(':')[1] ?? '', 16);
    const device = `7:${number}`;
    const wanted = { device, access: 'read-write', mapper: undefined, sharing: 'deny' } as const;
    await untilRequests(wanted, undefined);
    await files.stop();
    const reading = spawn('dd', [`if=${loop.path}`, 'of=/dev/null', 'count=1', 'iflag=direct'], {
      stdio: 'ignore',
    });
    const ended = once(reading, 'exit');
    try {
      await untilRequests(wanted, 1);
      assert.equal(findLateRequests({ ...wanted, access: 'read-only' }, []), undefined);
      assert.equal(findLateRequests({ ...wanted, sharing: 'read-only' }, []), undefined);
      const devnum = parseDevnum(device) ?? assert.fail();
      const use = { vbd: vbdPath(7, 51712), devnum, writable: true, open: true } as const;
      const known = { ...use, diskseq: undefined, pending: false };
      assert.equal(findLateRequests(wanted, [known]), undefined);
    } finally {
      files.resume();
      await ended;
    }
    await untilRequests(wanted, undefined);
  });

  it('are the reads and writes that sysfs counts', () => {
    const stat = (requests: number): string => ` 10 0 80 5 2 0 16 1 ${requests} 7 6 0 0 0 0 0 0\n`;
    assert.equal(parseInFlight('       0        0\n', stat(0)), 0);
    assert.equal(parseInFlight('       1       12\n', stat(13)), 13);
    assert.equal(parseInFlight('       0        0\n', stat(1)), 1);
    assert.equal(parseInFlight('', ''), 0);
  });
});
