import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { basename } from 'node:path';
import { UeventSocket } from '../../../src/linux/uevents.js';
import { SENDS_LOOP_EVENTS } from '../../../src/topology/loop-backing.js';
import { makeImage } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { temporaryDirectory } from '../../bed/paths.js';
import { ChangingLoop, Dice, devnumOfNode } from './changing-storage.js';
import { ComparedIndex } from './compared-index.js';

const CHANGES = Number(process.env.XEN_BLKBACK_CHANGES || 150);

describe('StorageIndex over loop devices', function () {
  this.timeout(60_000);
  let directory: string;
  let files: string[];
  let loops: ChangingLoop[];
  /** All devices that were ever bound, including those that another device has replaced. */
  let made: ChangingLoop[];

  before(function () {
    needs(this, 'root', 'loop');
  });
  beforeEach(() => {
    directory = temporaryDirectory();
    files = Array.from({ length: 4 }, (_, index) => makeImage(directory, { marker: `${index}` }));
    loops = [];
    made = [];
  });
  afterEach(async () => {
    // The last device goes first, because a device may stand on an earlier one.
    for (const loop of made.reverse()) await loop.clear();
    rmSync(directory, { recursive: true });
  });

  const bind = async (...args: Parameters<typeof ChangingLoop.bind>): Promise<ChangingLoop> => {
    const loop = await ChangingLoop.bind(...args);
    made.push(loop);
    loops.push(loop);
    return loop;
  };
  const [A, B] = [0, 1];
  const file = (index: number): string => files[index] ?? '';

  /**
   * Asks about both files. Returns for each file how many of the test's devices the index names.
   */
  const ask = async (compared: ComparedIndex): Promise<number[]> => {
    const devices = loops.map(({ devnum }) => devnum);
    return [
      await compared.compare(file(A), devices, 'first file'),
      await compared.compare(file(B), devices, 'second file'),
    ];
  };

  for (const kernel of ['tells', 'does not tell'] as const) {
    describe(`whose kernel ${kernel} of a loop device that is bound`, () => {
      const tells = kernel === 'tells';
      const hush = (compared: ComparedIndex, loop: ChangingLoop): void => {
        if (!tells) compared.events.suppress(loop.devnum);
      };
      before(function () {
        if (tells && !SENDS_LOOP_EVENTS) this.skip();
      });

      it('names the devices over a file, and no others', async () => {
        const compared = new ComparedIndex(tells);
        await bind(file(A));
        await bind(file(A), { readOnly: true });
        assert.deepEqual(await ask(compared), [2, 0]);
      });

      it('notices one that is bound later', async () => {
        const compared = new ComparedIndex(tells);
        assert.deepEqual(await ask(compared), [0, 0]);
        hush(compared, await bind(file(A)));
        assert.deepEqual(await ask(compared), [1, 0]);
      });

      it('notices one that is bound anew to another file', async () => {
        const compared = new ComparedIndex(tells);
        const loop = await bind(file(A));
        assert.deepEqual(await ask(compared), [1, 0]);
        await loop.clear();
        if (!(await loop.rebind(file(B)))) return;
        assert.deepEqual(await ask(compared), [0, 1]);
      });

      it('notices that a read-only one exchanges its file', async () => {
        const compared = new ComparedIndex(tells);
        const loop = await bind(file(A), { readOnly: true });
        assert.deepEqual(await ask(compared), [1, 0]);
        assert.ok(await loop.exchange(file(B)));
        hush(compared, loop);
        assert.deepEqual(await ask(compared), [0, 1]);
      });

      it('notices that the window of one moves', async () => {
        const compared = new ComparedIndex(tells);
        const lower = await bind(file(A), { offset: 0, size: 4096 });
        const upper = await bind(file(A), { offset: 8192, size: 4096 });
        const asks = (): Promise<number> =>
          compared.compare(upper.path, [lower.devnum], 'the upper one');
        assert.equal(await asks(), 0);
        await lower.move(8192, 4096);
        hush(compared, lower);
        assert.equal(await asks(), 1);
      });

      it('notices what happens to the device below', async () => {
        const compared = new ComparedIndex(tells);
        const lower = await bind(file(A), { readOnly: true });
        await bind(lower.path, { readOnly: true });
        assert.deepEqual(await ask(compared), [2, 0]);
        assert.ok(await lower.exchange(file(B)));
        hush(compared, lower);
        assert.deepEqual(await ask(compared), [0, 2]);
      });

      it('notices partitions that come, grow and go', async () => {
        const compared = new ComparedIndex(tells);
        const disk = await bind(file(A));
        assert.ok(disk.addPartition(1, 64, 64));
        const part = devnumOfNode(`${disk.path}p1`);
        assert.ok(part);
        const window = await bind(file(A), { offset: 160 * 512, size: 512 });
        const asks = (): Promise<number> =>
          compared.compare(window.path, [part], 'a window behind the partition');
        await asks();
        assert.ok(disk.resizePartition(1, 128));
        await asks();
        assert.ok(disk.deletePartition(1));
        assert.ok(disk.addPartition(1, 1024, 64));
        const moved = devnumOfNode(`${disk.path}p1`);
        assert.ok(moved);
        assert.equal(await compared.compare(window.path, [moved], 'one before it'), 0);
      });
    });
  }

  it('looks at everything anew when events were lost', async () => {
    const compared = new ComparedIndex();
    const loop = await bind(file(A));
    assert.deepEqual(await ask(compared), [1, 0]);
    await loop.clear();
    if (!(await loop.rebind(file(B)))) return;
    compared.events.suppress(loop.devnum);
    compared.events.lose();
    assert.deepEqual(await ask(compared), [0, 1]);
  });

  it('names the same devices as a fresh look after any changes', async () => {
    const seed = Number(process.env.XEN_BLKBACK_SEED || Date.now() % 1e6);
    const dice = new Dice(seed);
    const tells = SENDS_LOOP_EVENTS && dice.once(2);
    const compared = new ComparedIndex(tells);
    for (let slot = 0; slot < 5; slot++) await bind(dice.choose(files));
    const parts = new Set<string>();
    const done: string[] = [];
    for (let round = 0; round < CHANGES; round++) {
      const at = dice.below(loops.length);
      const loop = loops[at];
      assert.ok(loop);
      // The device may stand on a file, or on a device before it in the list.
      const below = [...files, ...loops.slice(0, at).map(({ path }) => path)];
      const target = dice.choose(below);
      const offset = dice.below(64) * 4096;
      const size = dice.once(2) ? 0 : 4096 * (1 + dice.below(16));
      const readOnly = dice.once(2);
      const kind = dice.choose(['rebind', 'rebind', 'exchange', 'move', 'add', 'resize', 'delete']);
      const number = 1 + dice.below(2);
      let tellsNothing = false;
      compared.events.mark();
      if (kind === 'rebind') {
        await loop.clear();
        // If a device above keeps this one open, this one is still bound to the old file.
        if (!(await loop.rebind(target, { readOnly, offset, size }))) {
          compared.events.mark();
          const other = await ChangingLoop.bind(target, { readOnly, offset, size });
          made.push(other);
          loops[at] = other;
          if (!tells) compared.events.suppress(other.devnum);
        }
      } else if (kind === 'exchange') tellsNothing = await loop.exchange(target).catch(() => false);
      else if (kind === 'move') {
        await loop.move(offset, size).catch(() => undefined);
        tellsNothing = true;
      } else if (kind === 'add') {
        if (loop.addPartition(number, dice.below(512), 1 + dice.below(512))) {
          parts.add(`${loop.path}p${number}`);
        }
      } else if (kind === 'resize') loop.resizePartition(number, 1 + dice.below(1024));
      else loop.deletePartition(number);
      // An older kernel sends no event for some of these changes.
      if (!tells && tellsNothing && dice.once(2)) compared.events.suppress(loop.devnum);
      if (dice.once(20)) compared.events.lose();
      done.push(`${kind} ${basename(loop.path)} ${basename(target)}+${offset}/${size} ${number}`);
      if (dice.once(3)) continue;
      const partitions = [...parts].map(devnumOfNode).filter((devnum) => devnum !== undefined);
      const devices = [...loops.map(({ devnum }) => devnum), ...partitions];
      const wanted = dice.choose([...files, ...loops.map(({ path }) => path)]);
      await compared.compare(wanted, devices, `seed ${seed}, ${done.slice(-6).join('; ')}`);
    }
  });
});

describe('UeventSocket', () => {
  before(function () {
    needs(this, 'root', 'loop');
  });

  it('does not believe what other programs send', () => {
    const socket = UeventSocket.open();
    assert.ok(socket);
    socket.drain();
    const message =
      'remove@/devices/virtual/block/loop9\\0ACTION=remove\\0DEVPATH=/devices/virtual/block/loop9\\0SUBSYSTEM=block\\0MAJOR=7\\0MINOR=1048575\\0';
    execFileSync('python3', [
      '-c',
      `import socket\ns = socket.socket(16, socket.SOCK_DGRAM, 15)\ns.sendto(b'${message}', (0, 1))`,
    ]);
    const events = socket.drain();
    assert.ok(events !== 'overrun');
    assert.deepEqual(
      events.filter(({ devnum }) => devnum.minor === 1048575),
      [],
    );
  });
});
