import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { assembleArray, type MdArray } from '../../bed/array.js';
import { effort } from '../../bed/effort.js';
import { makeImage } from '../../bed/images.js';
import { createMapped, dmsetup, linear, type Mapped } from '../../bed/mapper.js';
import { needs } from '../../bed/needs.js';
import { temporaryDirectory } from '../../bed/paths.js';
import { ChangingLoop, Dice, devnumOfNode } from './changing-storage.js';
import { ComparedIndex } from './compared-index.js';

const CHANGES = Number(process.env.XEN_BLKBACK_CHANGES || effort(150, 25));
const NUMBERS = [40, 41, 42, 43, 44, 45];

describe('StorageIndex over mapper devices', function () {
  this.timeout(180_000);
  let directory: string;
  let loops: ChangingLoop[];
  const mapped = new Map<number, Mapped>();
  let array: MdArray | undefined;

  before(function () {
    needs(this, 'root', 'loop', 'mapper');
  });
  beforeEach(async () => {
    directory = temporaryDirectory();
    loops = [];
    for (const marker of ['a', 'b', 'c']) {
      loops.push(await ChangingLoop.bind(makeImage(directory, { marker })));
    }
  });
  afterEach(async () => {
    // The last device goes first, because a device may stand on an earlier one.
    for (const number of [...NUMBERS].reverse()) await remove(number);
    await array?.stop();
    array = undefined;
    for (const loop of loops) await loop.clear();
    rmSync(directory, { recursive: true });
  });

  const loop = (index: number): ChangingLoop => {
    const found = loops[index];
    assert.ok(found);
    return found;
  };
  const make = async (number: number, table: string): Promise<Mapped> => {
    const device = await createMapped(`indexed-${number}`, table, { minor: number });
    mapped.set(number, device);
    return device;
  };
  const remove = async (number: number): Promise<void> => {
    await dmsetup('remove', '--force', `indexed-${number}`).catch(() => undefined);
    mapped.delete(number);
  };
  const swap = async (number: number, table: string): Promise<void> => {
    await dmsetup('load', `indexed-${number}`, '--table', table);
    await dmsetup('resume', `indexed-${number}`);
  };
  const all = () =>
    [
      ...NUMBERS.map((number) => `/dev/dm-${number}`),
      ...loops.map(({ path }) => path),
      ...(array ? [array.path] : []),
    ]
      .map(devnumOfNode)
      .filter((devnum) => devnum !== undefined);

  it('names those that have some of the bytes, and no others', async () => {
    const compared = new ComparedIndex();
    await make(40, linear(loop(0).path, 64, 0));
    await make(41, linear(loop(0).path, 64, 64));
    const wanted = await make(42, linear(loop(0).path, 64, 96));
    // The index names the upper half, the volume itself and the disk.
    assert.equal(await compared.compare(wanted.kernelPath, all(), 'a volume'), 3);
  });

  it('notices a new one, one that goes, and another one of the same number', async () => {
    const compared = new ComparedIndex();
    const asks = (): Promise<number> => compared.compare(loop(0).path, all(), 'a disk');
    assert.equal(await asks(), 1);
    await make(40, linear(loop(0).path, 64));
    assert.equal(await asks(), 2);
    await remove(40);
    await make(40, linear(loop(1).path, 64));
    assert.equal(await asks(), 1);
    await remove(40);
    assert.equal(await asks(), 1);
  });

  it('notices that one gets another table', async () => {
    const compared = new ComparedIndex();
    const asks = (): Promise<number> => compared.compare(loop(0).path, all(), 'a disk');
    await make(40, linear(loop(0).path, 64));
    await make(41, linear('/dev/dm-40', 64));
    assert.equal(await asks(), 3);
    await swap(40, linear(loop(1).path, 64));
    assert.equal(await asks(), 1);
    await dmsetup('load', 'indexed-40', '--table', linear(loop(0).path, 64));
    assert.equal(await asks(), 1);
    await dmsetup('resume', 'indexed-40');
    assert.equal(await asks(), 3);
  });

  it('names one that does not tell its places once the table over the bytes is live', async () => {
    const compared = new ComparedIndex();
    const wanted = await make(40, linear(loop(0).path, 256));
    await make(41, `0 256 delay ${loop(1).path} 0 0`);
    const asks = (title: string): Promise<number> =>
      compared.compare(wanted.kernelPath, all(), title);
    await asks('before');
    // The kernel sends no event of a load, and lists the device as a holder. So a fresh look names
    // it already, and the index does not. Nothing reads or writes through a table that is not live.
    await dmsetup('load', 'indexed-41', '--table', `0 256 delay /dev/dm-40 0 0`);
    await assert.rejects(asks('loaded'), /loaded: what meets/);
    await dmsetup('resume', 'indexed-41');
    assert.equal(await asks('live'), 3);
  });

  it('tells volumes of an array apart, and names them all for a disk below it', async () => {
    const compared = new ComparedIndex();
    array = await assembleArray([loop(0).path, loop(1).path]);
    const one = await make(40, linear(array.path, 64, 0));
    await make(41, linear(array.path, 64, 64));
    // The index names the volume itself, the array, and both members of the array.
    assert.equal(await compared.compare(one.kernelPath, all(), 'a volume'), 4);
    assert.equal(await compared.compare(loop(1).path, all(), 'a member'), 4);
    await swap(41, linear(array.path, 64, 32));
    assert.equal(await compared.compare(one.kernelPath, all(), 'a volume'), 5);
  });

  it('names the same devices as a fresh look after any changes', async () => {
    const seed = Number(process.env.XEN_BLKBACK_SEED || Date.now() % 1e6);
    const dice = new Dice(seed);
    const compared = new ComparedIndex();
    const done: string[] = [];
    const members = [makeImage(directory, { marker: 'd' }), makeImage(directory, { marker: 'e' })];
    for (const image of members) loops.push(await ChangingLoop.bind(image));
    const table = (number: number): string => {
      const lower = dice.choose([
        ...loops.map(({ path }) => path),
        ...[...mapped.keys()].filter((one) => one < number).map((one) => `/dev/dm-${one}`),
        ...(array ? [array.path] : []),
      ]);
      const [start, other] = [dice.below(16) * 64, dice.choose(loops).path];
      const tables = [
        linear(lower, 256, start),
        linear(lower, 256, start),
        `0 128 linear ${lower} ${start}\n128 128 linear ${other} ${dice.below(16) * 64}`,
        `0 256 striped 2 8 ${lower} ${start} ${other} 0`,
        `0 256 mirror core 2 64 nosync 2 ${lower} ${start} ${other} 0`,
        `0 256 delay ${lower} ${start} 0`,
        `0 128 delay ${other} ${start} 0\n128 128 linear ${lower} ${start}`,
        `0 256 snapshot-origin ${lower}`,
        `0 256 snapshot ${lower} ${other} N 8`,
        '0 256 error',
        '0 256 zero',
      ];
      return dice.choose(tables);
    };
    /** The devices that may not tell their places: see the test above. */
    const hiding = new Set<number>();
    const noted = (number: number, text: string): string => {
      if (/delay/.test(text)) hiding.add(number);
      return text;
    };
    const attempt = async (kind: string, number: number): Promise<void> => {
      if (kind === 'make' && !mapped.has(number)) await make(number, noted(number, table(number)));
      else if (kind === 'remove') await remove(number);
      else if (kind === 'swap') await swap(number, noted(number, table(number)));
      else if (kind === 'load') {
        const loaded = noted(number, table(number));
        const isHiding = hiding.has(number);
        await dmsetup('load', `indexed-${number}`, '--table', isHiding ? '0 256 zero' : loaded);
      } else if (kind === 'suspend' || kind === 'resume' || kind === 'clear') {
        await dmsetup(kind, `indexed-${number}`);
      } else if (kind === 'array') {
        if (array === undefined) {
          array = await assembleArray([loop(3).path, dice.choose([loop(4), loop(0)]).path]);
        } else {
          await array.stop();
          array = undefined;
        }
      } else if (kind === 'move') {
        const moved = dice.choose(loops);
        compared.events.mark();
        await moved.move(dice.below(16) * 4096, 0);
        if (dice.once(2)) compared.events.suppress(moved.devnum);
      } else if (kind === 'part') {
        const disk = dice.choose(loops);
        if (!disk.deletePartition(1)) disk.addPartition(1, dice.below(512), 512);
      }
    };
    const kinds = ['make', 'make', 'make', 'remove', 'swap', 'swap', 'load'];
    kinds.push('suspend', 'resume', 'resume', 'clear', 'move', 'part', 'array');
    for (let round = 0; round < CHANGES; round++) {
      const [kind, number] = [dice.choose(kinds), dice.choose(NUMBERS)];
      const failed = await attempt(kind, number).then(
        () => '',
        () => ' (refused)',
      );
      if (dice.once(20)) compared.events.lose();
      done.push(`${kind} ${number}${failed}`);
      if (dice.once(3)) continue;
      const wanted = dice.choose([
        ...loops.map(({ path }) => path),
        ...[...mapped.keys()].map((one) => `/dev/dm-${one}`),
        ...(array ? [array.path] : []),
      ]);
      await compared.compare(wanted, all(), `seed ${seed}, ${done.slice(-6).join('; ')}`);
    }
  });
});
