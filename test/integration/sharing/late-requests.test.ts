import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { parseDevnum } from '../../../src/linux/devnum.js';
import { findLateRequests, parseInFlight } from '../../../src/sharing/late-requests.js';
import { poll } from '../../../src/util/poll.js';
import { vbdPath } from '../../../src/vbd/vbd-path.js';
import { FuseFiles } from '../../bed/fuse-files.js';
import { attachLoop, type Loop } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { on } from '../hotplug/fixture.js';

const NOBODY: ReadonlySet<string> = new Set();

type Wanted = Parameters<typeof findLateRequests>[0];

/** Returns the request of a guest that wants a loop device for itself alone. */
function wantedOf({ devnum }: Loop) {
  // sysfs has the numbers in decimal, and XenStore in hex.
  const number = Number.parseInt(devnum.split(':')[1] ?? '', 16);
  const device = `7:${number}`;
  return { device, access: 'read-write', mapper: undefined, sharing: 'deny' } as const;
}

async function untilRequests(wanted: Wanted, expected: number | undefined): Promise<void> {
  await poll(AbortSignal.timeout(5000), async () => {
    return findLateRequests(wanted, [], NOBODY)?.requests === expected || undefined;
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
    const wanted = wantedOf(loop);
    const { device } = wanted;
    await untilRequests(wanted, undefined);
    await files.stop();
    const reading = spawn('dd', [`if=${loop.path}`, 'of=/dev/null', 'count=1', 'iflag=direct'], {
      stdio: 'ignore',
    });
    const ended = once(reading, 'exit');
    try {
      await untilRequests(wanted, 1);
      assert.equal(findLateRequests({ ...wanted, access: 'read-only' }, [], NOBODY), undefined);
      assert.equal(findLateRequests({ ...wanted, sharing: 'read-only' }, [], NOBODY), undefined);
      const devnum = parseDevnum(device) ?? assert.fail();
      const use = { vbd: vbdPath(7, 51712), devnum, writable: true, open: true } as const;
      const known = { ...use, diskseq: undefined, pending: false };
      assert.equal(findLateRequests(wanted, [known], NOBODY), undefined);
      assert.equal(findLateRequests(wanted, [], new Set([device])), undefined);
    } finally {
      files.resume();
      await ended;
    }
    await untilRequests(wanted, undefined);
  });

  it(
    'are not looked for below the disk of another domain of the same virtual machine',
    on({}, async (fixture) => {
      for (const domid of [7, 9]) await fixture.store.write(`/local/domain/${domid}/vm`, '/vm/a');
      await using base = await attachLoop(fixture.image('', { size: 64 * 1024 * 1024 }));
      await using over = await attachLoop(base.path);
      // Without it, the reads are answered from memory, and the disk below has no requests.
      assert.equal(spawnSync('losetup', ['--direct-io=on', over.path]).status, 0);
      const old = await fixture.vbd(over.path);
      await fixture.attach(old);
      const read = `while :; do dd if=${over.path} of=/dev/null bs=4M iflag=direct 2>&-; done`;
      const guest = Array.from({ length: 24 }, () =>
        spawn('/bin/sh', ['-c', read], { stdio: 'ignore', detached: true }),
      );
      try {
        await poll(AbortSignal.timeout(5000), async () =>
          (findLateRequests(wantedOf(base), [], NOBODY)?.requests ?? 0) > 20 ? true : undefined,
        );
        const moved = await fixture.vbd(base.path, { frontend: 9 });
        await fixture.attach(moved);
        await fixture.delete(moved);
      } finally {
        for (const { pid } of guest) if (pid !== undefined) process.kill(-pid, 'SIGKILL');
      }
      await fixture.delete(old);
    }),
  );

  it('are the reads and writes that sysfs counts', () => {
    const stat = (requests: number): string => ` 10 0 80 5 2 0 16 1 ${requests} 7 6 0 0 0 0 0 0\n`;
    assert.equal(parseInFlight('       0        0\n', stat(0)), 0);
    assert.equal(parseInFlight('       1       12\n', stat(13)), 13);
    assert.equal(parseInFlight('       0        0\n', stat(1)), 1);
    assert.equal(parseInFlight('', ''), 0);
  });
});
