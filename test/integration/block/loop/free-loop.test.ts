import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  claimFreeLoop,
  type FreeLoop,
  openLoopControl,
} from '../../../../src/block/loop/free-loop.js';
import { openExport } from '../../../../src/block/open-export.js';
import { ioctlSync } from '../../../../src/linux/calls.js';
import { listHungCalls } from '../../../../src/linux/hung-calls.js';
import { removeLoop } from '../../../../src/linux/loop-ioctl.js';
import { FuseFiles } from '../../../bed/fuse-files.js';
import { loopsOf, makeImage } from '../../../bed/images.js';
import { needs } from '../../../bed/needs.js';
import { projectRoot } from '../../../bed/paths.js';
import { fixture, loopsLeft, request, run } from '../fixture.js';

const LOOP_CTL_ADD = { name: 'LOOP_CTL_ADD', number: 0x4c80 };
const OPEN = join(projectRoot, 'dist/test/integration/block/loop/open-once.js');

describe('A free loop device', () => {
  const shop = fixture();

  it('is claimed by one only of a hundred that ask at once', async () => {
    const images = Array.from({ length: 100 }, (_, i) =>
      makeImage(shop.directory, { marker: `image ${i}` }),
    );
    const devices = await Promise.all(images.map((image) => openExport(request(image))));
    try {
      assert.equal(new Set(devices.map(({ path }) => path)).size, 100);
      for (const device of devices) await device.verify();
    } finally {
      await Promise.all(devices.map((device) => device.close()));
    }
  });

  it('is made where there is none, and taken away again where it was for nothing', async () => {
    await using control = openLoopControl();
    const before = new Set(readdirSync('/sys/block'));
    const claims: FreeLoop[] = [];
    try {
      let last: FreeLoop;
      do {
        last = await claimFreeLoop(control);
        claims.push(last);
      } while (before.has(`loop${last.number}`) && claims.length < 2000);
      const directory = `/sys/block/loop${last.number}`;
      assert.ok(existsSync(directory));
      assert.equal(new Set(claims.map(({ number }) => number)).size, claims.length);
      await last.discard();
      assert.ok(!existsSync(directory), `${directory} is still there`);
      // The loop devices that existed before stay.
      await claims[0]?.discard();
      assert.ok(existsSync(`/sys/block/loop${claims[0]?.number}`));
    } finally {
      for (const claim of claims) claim.release();
    }
  });

  it('is not taken for a new one because another device is made at the same moment', async () => {
    await using control = openLoopControl();
    const old = await claimFreeLoop(control);
    old.release();
    const other = unusedNumber();
    const asked: number[] = [];
    const findNamed = async (numbers: readonly number[]): Promise<ReadonlySet<number>> => {
      asked.push(...numbers);
      return new Set();
    };
    const claiming = claimFreeLoop(control, { findNamed });
    // The search for a free device runs on another thread by now.
    ioctlSync(control.fd, LOOP_CTL_ADD, other, control.name);
    const claim = await claiming;
    try {
      assert.equal(claim.number, old.number);
      assert.ok(await claim.mayBeBound());
      assert.deepEqual(asked, [old.number]);
    } finally {
      claim.release();
      await removeLoop(control, other);
    }
  });

  it('is not held by a file whose server hangs: others are attached meanwhile', async function () {
    needs(this, 'fuse');
    this.timeout(30_000);
    const names = Array.from({ length: 40 }, (_, i) => `disk${i}`);
    await using files = await FuseFiles.mount(
      Object.fromEntries(names.map((name) => [name, 1024 * 1024])),
    );
    const image = makeImage(shop.directory, { marker: 'healthy' });
    await using _warm = await openExport(request(image));
    const before = readdirSync('/proc/self/fd').length;
    await files.stop();
    const reason = new Error('the deadline passed');
    const controller = new AbortController();
    const hanging = names.map((name) =>
      assert.rejects(openExport(request(files.path(name)), controller.signal), reason),
    );
    await sleep(20);
    const times: number[] = [];
    for (let i = 0; i < 10; i++) {
      const started = performance.now();
      await using _device = await openExport(request(image));
      times.push(performance.now() - started);
    }
    controller.abort(reason);
    await Promise.all(hanging);
    const median = times.sort((a, b) => a - b)[5] ?? 0;
    assert.ok(median < 100, `${times.map(Math.round).join(' ')} ms`);
    files.resume();
    for (let i = 0; i < 100 && listHungCalls().length > 0; i++) await sleep(20);
    assert.deepEqual(listHungCalls(), []);
    assert.deepEqual(loopsOf(files.directory), []);
    for (let i = 0; i < 100 && readdirSync('/proc/self/fd').length > before; i++) await sleep(10);
    assert.equal(readdirSync('/proc/self/fd').length, before);
    // The server answers again, so its disks can be exported again.
    await using _again = await openExport(request(files.path('disk0')));
  });

  it('is given up when its file hangs while it is being bound, and is cleared when that is over', async function () {
    needs(this, 'fuse');
    await using files = await FuseFiles.mount({ disk: 1024 * 1024 });
    for (let round = 0; round < 10; round++) {
      const signal = AbortSignal.timeout(150);
      const opening = openExport(request(files.path('disk')), signal);
      // The server stops somewhere between the first open and the last check.
      await sleep(Math.random() * 3);
      await files.stop();
      const device = await opening.catch(() => undefined);
      files.resume();
      await device?.close();
    }
    for (let i = 0; i < 100 && listHungCalls().length > 0; i++) await sleep(20);
    assert.deepEqual(listHungCalls(), []);
    assert.deepEqual(await loopsLeft(files.directory), []);
  });

  /** Runs open-once.js in a mount namespace where /dev has no loop devices. */
  const withoutNodes = async (image: string, prepare = '', runner = '') => {
    const script = `set -e
      mkdir -p ${shop.directory}/dev && touch ${shop.directory}/dev/null
      mount -t tmpfs none ${shop.directory}/dev
      cp -a /dev/null /dev/loop-control /dev/urandom ${shop.directory}/dev
      mount --bind ${shop.directory}/dev /dev
      ${prepare}
      ${runner} ${process.execPath} ${OPEN} ${image}
      ls -A /dev`;
    const { stdout } = await run('unshare', ['--mount', 'sh', '-c', script]);
    const [opened = '', ...nodes] = stdout.trim().split('\n');
    return { opened, nodes: nodes.sort() };
  };
  const NODES = ['loop-control', 'null', 'urandom'];

  it('is bound where /dev has no node of it, and leaves none there', async () => {
    const image = makeImage(shop.directory, { marker: 'without a node' });
    const { opened, nodes } = await withoutNodes(image);
    assert.match(opened, /^\/dev\/loop\d+ without a node/);
    assert.deepEqual(nodes, NODES);
  });

  it('is told at once where no node can be made, and is taken away again if it was made for that', async () => {
    const image = makeImage(shop.directory, { marker: 'x' });
    const before = readdirSync('/sys/block').length;
    const started = performance.now();
    const runner = 'setpriv --bounding-set=-mknod --inh-caps=-mknod';
    const { opened, nodes } = await withoutNodes(image, '', runner);
    assert.match(
      opened,
      /^ENONODE \/dev\/loop\d+ does not exist, though the kernel has that device, and no node can be made for it: /,
    );
    assert.ok(performance.now() - started < 3000);
    assert.deepEqual(nodes, NODES);
    assert.ok(readdirSync('/sys/block').length <= before + 1);
  });
});

/** Returns a number that no loop device has. */
function unusedNumber(): number {
  let number = 5000 + (process.pid % 1000);
  while (existsSync(`/sys/block/loop${number}`)) number++;
  return number;
}
