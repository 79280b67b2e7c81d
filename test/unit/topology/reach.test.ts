import assert from 'node:assert/strict';
import { type Devnum, formatDevnum } from '../../../src/linux/devnum.js';
import { type Extent, overlap } from '../../../src/topology/extent.js';
import { hiddenSegments, tableSegments } from '../../../src/topology/mapper-segments.js';
import type { Segment } from '../../../src/topology/mapper-targets.js';
import { followDown } from '../../../src/topology/reach.js';

const ALL = { at: 0n, length: undefined, endless: true, start: 0n } as const;
const [sda, sdb, sdc] = [device(8, 0), device(8, 16), device(8, 32)];
const [md, other] = [device(9, 0), device(9, 1)];

function device(major: number, minor: number): Devnum {
  return { major, minor };
}

const disk = (devnum: Devnum): Segment[] => [{ ...ALL, storage: { kind: 'disk', devnum } }];
type Line = readonly [length: number, type: string, params: string];

const table = (devnum: Devnum, lines: readonly Line[]): readonly Segment[] => {
  let start = 0n;
  const targets = lines.map(([length, type, params]) => {
    const target = { start, length: BigInt(length), type, params };
    start += BigInt(length);
    return target;
  });
  return tableSegments(devnum, targets, () => []);
};

/** The mapper devices that exist, by minor number. Disks and arrays always exist. */
class Devices {
  readonly #segments = new Map<string, readonly Segment[]>([
    ['8:0', disk(sda)],
    ['8:16', disk(sdb)],
    ['8:32', disk(sdc)],
    ['9:0', hiddenSegments(md, ALL, [sda, sdb])],
    ['9:1', hiddenSegments(other, ALL, [sda, sdb])],
  ]);

  mapped(minor: number, ...lines: readonly Line[]): Devnum {
    const devnum = device(253, minor);
    this.#segments.set(formatDevnum(devnum), table(devnum, lines));
    return devnum;
  }

  async reach(devnum: Devnum): Promise<readonly Extent[]> {
    const { extents } = await followDown(devnum, async (one) => {
      const segments = this.#segments.get(formatDevnum(one));
      return segments && { segments, unclaimed: [] };
    });
    return extents;
  }

  async meet(a: Devnum, b: Devnum): Promise<boolean> {
    const [some, others] = [await this.reach(a), await this.reach(b)];
    assert.equal(overlap(some, others), overlap(others, some));
    return overlap(some, others);
  }
}

describe('Two uses meet at the highest device that both stand on', () => {
  it('on an array: windows are those of the array, a member and another array meet all of it', async () => {
    const devices = new Devices();
    const root = devices.mapped(0, [8, 'linear', '9:0 2048']);
    const guest = devices.mapped(1, [8, 'linear', '9:0 2056']);
    const both = devices.mapped(2, [9, 'linear', '9:0 2048']);
    assert.equal(await devices.meet(root, guest), false);
    assert.equal(await devices.meet(both, guest), true);
    for (const whole of [md, sda, sdb, other]) assert.equal(await devices.meet(guest, whole), true);
    assert.equal(await devices.meet(guest, sdc), false);
  });

  it('on an array in a volume: what lies beside that volume is free', async () => {
    const devices = new Devices();
    const image = devices.mapped(0, [64, 'linear', '8:0 2048']);
    const raid = devices.mapped(1, [64, 'raid', 'raid1 3 0 region_size 1024 1 - 253:0']);
    const beside = devices.mapped(2, [64, 'linear', '8:0 2112']);
    const over = devices.mapped(3, [64, 'linear', '8:0 2111']);
    assert.equal(await devices.meet(raid, beside), false);
    assert.equal(await devices.meet(raid, over), true);
    assert.equal(await devices.meet(raid, image), true);
  });

  it('on a volume that is being moved: those that stay where they are are free', async () => {
    const devices = new Devices();
    devices.mapped(0, [8, 'mirror', 'core 1 1024 2 8:0 2048 8:16 4096']);
    const moving = devices.mapped(1, [8, 'linear', '253:0 0']);
    const staying = devices.mapped(2, [8, 'linear', '8:0 2056']);
    const arriving = devices.mapped(3, [8, 'linear', '8:16 4096']);
    assert.equal(await devices.meet(moving, staying), false);
    assert.equal(await devices.meet(moving, arriving), true);
    assert.equal(await devices.meet(moving, sda), true);
  });

  it('on a thin pool: its volumes are apart, its data and the pool itself meet all of them', async () => {
    const devices = new Devices();
    const pool = devices.mapped(0, [1024, 'thin-pool', '8:0 9:0 128 0']);
    const [one, two] = [1, 2].map((id) => devices.mapped(id, [512, 'thin', `253:0 ${id}`]));
    assert.ok(one && two);
    const same = devices.mapped(3, [512, 'thin', '253:0 1']);
    assert.equal(await devices.meet(one, two), false);
    assert.equal(await devices.meet(one, same), true);
    for (const whole of [pool, sda, sdb, md]) assert.equal(await devices.meet(one, whole), true);
  });

  it('on an origin and its snapshots: apart from each other, not from the device below', async () => {
    const devices = new Devices();
    const real = devices.mapped(0, [64, 'linear', '8:0 2048']);
    const origin = devices.mapped(1, [64, 'snapshot-origin', '253:0']);
    const again = devices.mapped(2, [64, 'snapshot-origin', '253:0']);
    const snapshot = devices.mapped(3, [64, 'snapshot', '253:0 8:16 P 8']);
    assert.equal(await devices.meet(origin, snapshot), false);
    assert.equal(await devices.meet(origin, again), true);
    assert.equal(await devices.meet(origin, real), true);
    assert.equal(await devices.meet(snapshot, real), true);
    assert.equal(await devices.meet(snapshot, sdb), true);
  });

  it('and only reads what a thin volume has of its external origin', async () => {
    const devices = new Devices();
    devices.mapped(0, [1024, 'thin-pool', '8:32 8:16 128 0']);
    const thin = await devices.reach(devices.mapped(1, [64, 'thin', '253:0 1 8:0']));
    const read = thin.filter(({ readOnly }) => readOnly);
    assert.deepEqual(read, [
      { storage: { kind: 'disk', devnum: sda }, start: 0n, end: 32768n, readOnly: true },
    ]);
  });

  it('comes to the same disks once, however many pieces a volume has', async () => {
    const devices = new Devices();
    const pieces = Array.from({ length: 200 }, (_, n): Line => [8, 'linear', `9:0 ${n * 16}`]);
    const extents = await devices.reach(devices.mapped(0, ...pieces));
    assert.equal(extents.length, 202);
  });
});
