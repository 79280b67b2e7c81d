import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { BlockDevice } from '../../../../src/block/block-device.js';
import { listHolders } from '../../../../src/block/holders.js';
import {
  isLoopBound,
  unbindLoop,
  waitLoopUnbound,
} from '../../../../src/block/loop/release-loop.js';
import { openExport } from '../../../../src/block/open-export.js';
import { setAutoclear } from '../../../../src/linux/loop-ioctl.js';
import { loopsOf, makeImage } from '../../../bed/images.js';
import { fixture, loopsLeft, mountNew, request, run } from '../fixture.js';

const never = new AbortController().signal;

/** Starts a process that has the device open as its standard input. */
async function startHolder(device: BlockDevice): Promise<ChildProcess> {
  const holder = spawn('sleep', ['60'], { stdio: [device.fd.fd, 'ignore', 'ignore'] });
  await once(holder, 'spawn');
  return holder;
}

async function end(holder: ChildProcess): Promise<void> {
  holder.kill('SIGKILL');
  if (holder.exitCode === null && holder.signalCode === null) await once(holder, 'exit');
}

describe('Giving back a loop device', () => {
  const shop = fixture();
  const open = () => openExport(request(makeImage(shop.directory, { marker: 'x' })));

  it('isLoopBound knows the very device, not its number', async () => {
    await using device = await open();
    const { devnum, diskseq } = device.identity;
    assert.equal(await isLoopBound({ devnum, diskseq }), true);
    assert.equal(await isLoopBound({ devnum, diskseq: diskseq + 1n }), false);
    assert.equal(await isLoopBound({ devnum: { major: 7, minor: 0xfffff }, diskseq }), false);
    await device.close();
    assert.deepEqual(await loopsLeft(shop.directory), []);
    assert.equal(await isLoopBound({ devnum, diskseq }), false);
  });

  it('waitLoopUnbound ends when the last process that has it open is gone', async () => {
    const device = await open();
    const holder = await startHolder(device);
    await device.close();
    let ended = false;
    const waiting = waitLoopUnbound(device.identity, AbortSignal.timeout(5000)).then(() => {
      ended = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 30));
    assert.equal(ended, false);
    await end(holder);
    await waiting;
    assert.deepEqual(await loopsLeft(shop.directory), []);
  });

  it('waitLoopUnbound does not wait for another device with the number', async () => {
    await using device = await open();
    const { devnum, diskseq } = device.identity;
    await waitLoopUnbound({ devnum, diskseq: diskseq - 1n }, never);
  });

  it('waitLoopUnbound says at the abort who holds it', async () => {
    const device = await open();
    const holder = await startHolder(device);
    const { devnum, diskseq } = device.identity;
    try {
      await device.close();
      await assert.rejects(waitLoopUnbound({ devnum, diskseq }, AbortSignal.timeout(20)), {
        name: 'BlockError',
        code: 'EHELD',
        message: `loop device ${devnum.major}:${devnum.minor} (diskseq ${diskseq}) is still held by process ${holder.pid} (sleep)`,
      });
    } finally {
      await end(holder);
    }
  });

  it('unbindLoop unbinds one that does not clear itself, and is content when it is gone', async () => {
    const device = await open();
    await setAutoclear(device.fd, false);
    await device.close();
    assert.deepEqual(loopsOf(shop.directory), [device.path]);
    const { devnum, diskseq } = device.identity;
    await unbindLoop({ devnum, diskseq: diskseq + 1n, path: device.path });
    assert.equal(await isLoopBound({ devnum, diskseq }), true);
    await unbindLoop({ devnum, diskseq, path: device.path });
    assert.deepEqual(await loopsLeft(shop.directory), []);
    await unbindLoop({ devnum, diskseq, path: device.path });
    await unbindLoop({ devnum, diskseq, path: '/dev/loop1048575' });
  });
});

describe('listHolders', () => {
  const shop = fixture();

  it('names processes and mounts, but not this process', async () => {
    const image = makeImage(shop.directory, { marker: '', size: 4 * 1024 * 1024 });
    await run('mkfs.ext4', ['-q', '-F', image]);
    await using device = await openExport(request(image));
    const { devnum } = device.identity;
    const names = async () => (await listHolders(devnum)).map(({ name }) => name);
    assert.deepEqual(await names(), []);
    const holder = await startHolder(device);
    try {
      await using mount = await mountNew('ext4', shop.directory, device.path);
      assert.deepEqual(await names(), [
        `the mount ${mount.directory}`,
        `process ${holder.pid} (sleep)`,
      ]);
    } finally {
      await end(holder);
    }
    assert.deepEqual(await names(), []);
  });

  it('finds nobody at a device that does not exist', async () => {
    assert.deepEqual(await listHolders({ major: 7, minor: 0xfffff }), []);
  });
});
