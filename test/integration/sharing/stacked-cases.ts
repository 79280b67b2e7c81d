import type { SharingCase } from './case.js';
import type { SharingFixture } from './fixture.js';
import { disk, idle, linear, pair } from './mapper-cases.js';

/** The sectors of a disk of the fixture, and half of them. */
const ALL = 2048;
const HALF = 1024;

interface Below {
  /** The device that stands on the disks, and of which volumes are made. */
  readonly device: string;
  /** One of the disks below the device. */
  readonly member: string;
}

/** Devices that people have under a volume group. */
const GROUNDS: Readonly<Record<string, (fixture: SharingFixture) => Promise<Below>>> = {
  'an md array': async (fixture) => {
    const members = [await disk(fixture), await disk(fixture)];
    return { device: await fixture.mirrored(...members), member: members[1] ?? '' };
  },
  'a multipath device': async (fixture) => {
    const path = await disk(fixture);
    const table = `0 ${ALL} multipath 0 0 1 1 round-robin 0 1 1 ${path} 1000`;
    return { device: await fixture.mapped(table), member: path };
  },
  'a device with a cache': async (fixture) => {
    const [metadata, cache, origin] = [
      await disk(fixture, '\0'),
      await disk(fixture),
      await disk(fixture),
    ];
    const table = `0 ${ALL} cache ${metadata} ${cache} ${origin} 64 1 writethrough default 0`;
    return { device: await fixture.mapped(table), member: cache };
  },
  'a mirror': async (fixture) => {
    const legs = [await disk(fixture), await disk(fixture)];
    const table = `0 ${ALL} mirror core 2 64 nosync 2 ${legs[0]} 0 ${legs[1]} 0`;
    return { device: await fixture.mapped(table), member: legs[1] ?? '' };
  },
};

const onGround = Object.entries(GROUNDS).flatMap(([ground, make]) => [
  ...pair(
    `two volumes on ${ground}`,
    async (fixture) => {
      const { device } = await make(fixture);
      const one = await fixture.mapped(linear(device, 0, HALF));
      return [one, await fixture.mapped(linear(device, HALF, HALF))];
    },
    ['w', 'w', 'free', 'apart'],
  ),
  ...pair(
    `a volume on ${ground}, and a disk below it`,
    async (fixture) => {
      const { device, member } = await make(fixture);
      return [await fixture.mapped(linear(device, 0, HALF)), member];
    },
    ['w', 'w', 'busy', 'alone'],
  ),
]);

/**
 * Returns the cases with a text that the refusal must contain: what people know the device as, and
 * what ends its use.
 */
function saying(says: RegExp, cases: readonly SharingCase[]): SharingCase[] {
  return cases.map((row) => ({ ...row, says }));
}

/**
 * Makes a disk with a mapper device over its first half. The name and UUID tell what people take
 * the device for.
 */
async function mapOver(
  fixture: SharingFixture,
  name: string,
  uuid: string,
): Promise<{ lun: string; part: string }> {
  const lun = await disk(fixture);
  return { lun, part: await fixture.mapped(linear(lun, 0, HALF), { name, uuid }) };
}

/** Makes a thin pool. Returns its data disk, and a function that makes a volume. */
async function pool(fixture: SharingFixture) {
  const [metadata, data] = [await disk(fixture, '\0'), await disk(fixture)];
  const path = await fixture.mapped(`0 ${ALL} thin-pool ${metadata} ${data} 128 0`);
  const volume = async (id: number, origin = ''): Promise<string> => {
    await fixture.message(path, `create_thin ${id}`);
    return await fixture.mapped(`0 ${HALF} thin ${path} ${id} ${origin}`.trimEnd());
  };
  return { data, volume };
}

/** The cases with volumes over arrays, multipath devices, caches, mirrors and pools. */
export const STACKED_CASES: readonly SharingCase[] = [
  ...onGround,
  ...pair(
    'two partitions of an md array',
    async (fixture) => {
      const array = await fixture.mirrored(await disk(fixture), await disk(fixture));
      return await fixture.partitionsOf(array);
    },
    ['w', 'w', 'free', 'apart'],
  ),
  ...pair(
    'two kpartx partitions of one LUN',
    async (fixture) => {
      const { device: lun } = await (GROUNDS['a multipath device'] ?? missing)(fixture);
      const one = await fixture.mapped(linear(lun, 0, 512));
      return [one, await fixture.mapped(linear(lun, 512, 512))];
    },
    ['w', 'w', 'free', 'apart'],
  ),
  ...pair(
    'a volume that is being moved to another disk, and one beside it',
    async (fixture) => {
      const [from, to] = [await disk(fixture), await disk(fixture)];
      const moving = await fixture.mapped(`0 512 mirror core 2 64 nosync 2 ${from} 0 ${to} 1024`);
      return [
        await fixture.mapped(linear(moving, 0, 512)),
        await fixture.mapped(linear(from, 512, 512)),
      ];
    },
    ['w', 'w', 'free', 'apart'],
  ),
  ...idle(
    'a volume of a group on an md array whose root volume is mounted here',
    async (fixture) => {
      const array = await fixture.mirrored(await disk(fixture), await disk(fixture));
      await fixture.mount(await fixture.mapped(linear(array, 0, HALF)), 'w');
      return await fixture.mapped(linear(array, HALF, HALF));
    },
    ['w', 'free', 'apart'],
  ),
  ...saying(
    /in use here: \/dev\/md_\d+ stands on \/dev\/loop\d+; .*\(mdadm --stop \/dev\/md_\d+ ends that; /,
    idle(
      'a member of an md array that nobody has open',
      async (fixture) => {
        const member = await disk(fixture);
        await fixture.mirrored(member, await disk(fixture));
        return member;
      },
      ['r', 'busy', 'writer'],
    ),
  ),
  ...idle(
    'a LUN with partitions of kpartx that nobody uses',
    async (fixture) => (await mapOver(fixture, 'mpathz1', 'part1-mpath-3600z')).lun,
    ['w', 'free', 'unused'],
  ),
  ...saying(
    /mounted read-write here, mpathz1 \(\/dev\/dm-\d+\) on \S+; .*\(umount \S+ ends that; /,
    idle(
      'a LUN of whose partitions by kpartx one is mounted',
      async (fixture) => {
        const { lun, part } = await mapOver(fixture, 'mpathz1', 'part1-mpath-3600z');
        await fixture.mount(part, 'w');
        return lun;
      },
      ['w', 'busy', 'alone'],
    ),
  ),
  ...idle(
    'a LUN with a volume group that is activated here and not mounted',
    async (fixture) => {
      const { lun, part } = await mapOver(fixture, 'mpathz1', 'part1-mpath-3600z');
      await fixture.mapped(linear(part, 0, 512), { name: 'guest-root', uuid: 'LVM-abc' });
      return lun;
    },
    ['w', 'free', 'unused'],
  ),
  ...saying(
    /still held open here by process \d+ \(sleep\), through guest\/root \(\/dev\/dm-\d+\)/,
    idle(
      'a LUN with a volume group of which a program has a volume open',
      async (fixture) => {
        const { lun, part } = await mapOver(fixture, 'mpathz1', 'part1-mpath-3600z');
        await fixture.opened(
          await fixture.mapped(linear(part, 0, 512), {
            name: 'guest-root',
            uuid: 'LVM-abc',
          }),
        );
        return lun;
      },
      ['w', 'busy', 'alone'],
    ),
  ),
  ...idle(
    'a LUN with a volume group of which a volume is mounted in another mount namespace',
    async (fixture) => {
      const { lun, part } = await mapOver(fixture, 'mpathz1', 'part1-mpath-3600z');
      await fixture.mountElsewhere(await fixture.mapped(linear(part, 0, 512)));
      return lun;
    },
    ['w', 'busy', 'alone'],
  ),
  ...saying(
    /in use here: fixture-\S+ \(\/dev\/dm-\d+\) stands on \/dev\/loop\d+; .*\(dmsetup remove fixture-\S+ ends that; /,
    idle(
      'a disk below a mirror that nobody has open, which copies by itself',
      async (fixture) => {
        const [from, to] = [await disk(fixture), await disk(fixture)];
        await fixture.mapped(`0 ${ALL} mirror core 1 64 2 ${from} 0 ${to} 0`);
        return from;
      },
      ['w', 'busy', 'alone'],
    ),
  ),
  ...pair(
    'two volumes of a thin pool',
    async (fixture) => {
      const { volume } = await pool(fixture);
      return [await volume(1), await volume(2)];
    },
    ['w', 'w', 'free', 'apart'],
  ),
  ...pair(
    'a volume of a thin pool, and the disk of its data',
    async (fixture) => {
      const { data, volume } = await pool(fixture);
      return [await volume(1), data];
    },
    ['w', 'w', 'busy', 'alone'],
  ),
  {
    what: 'a thin volume over an external origin that a guest has got before, read-write; wanted r',
    arrange: async (fixture) => {
      const origin = await disk(fixture);
      await fixture.guest(origin, 'w');
      return { params: await (await pool(fixture)).volume(1, origin), mode: 'r' };
    },
    expected: 'busy',
    rule: 'writer',
    plain: false,
  },
  ...pair(
    'an external origin, and a thin volume over it',
    async (fixture) => {
      const origin = await disk(fixture);
      return [origin, await (await pool(fixture)).volume(1, origin)];
    },
    ['r', 'w', 'free', 'readers'],
  ),
  ...pair(
    'a thin volume over an external origin, and that origin',
    async (fixture) => {
      const origin = await disk(fixture);
      return [await (await pool(fixture)).volume(1, origin), origin];
    },
    ['w', 'r', 'free', 'readers'],
    ['r', 'w', 'busy', 'alone'],
  ),
  ...pair(
    'two thin volumes over one external origin',
    async (fixture) => {
      const origin = await disk(fixture);
      const { volume } = await pool(fixture);
      return [await volume(1, origin), await volume(2, origin)];
    },
    ['w', 'w', 'free', 'readers'],
  ),
  ...pair(
    'one LUN under two names that nobody has joined',
    (fixture) => fixture.lunTwice(),
    ['w', 'w', 'busy', 'alone'],
    ['r', 'r', 'free', 'readers'],
  ),
  ...saying(
    /shares bytes with \/dev\/sd\w+, which is held exclusively here by a program/,
    idle(
      'one LUN under two names, of which a program has opened the other one exclusively',
      async (fixture) => {
        const [one, two] = await fixture.lunTwice();
        fixture.claim(one);
        return two;
      },
      ['w', 'busy', 'alone'],
    ),
  ),
  ...saying(
    /in use here: \/dev\/md_\d+ stands on \/dev\/sd\w+; /,
    idle(
      'one LUN under two names, of which the other one is a member of an md array',
      async (fixture) => {
        const [one, two] = await fixture.lunTwice();
        await fixture.mirrored(one, await disk(fixture));
        return two;
      },
      ['w', 'busy', 'alone'],
    ),
  ),
  ...idle(
    'one LUN under two names, and a program has opened a partition of the other one exclusively',
    async (fixture) => {
      const [one, two] = await fixture.lunTwice();
      const [part] = await fixture.partitionsOf(one);
      fixture.claim(part);
      return two;
    },
    ['w', 'busy', 'alone'],
  ),
  ...idle(
    'a partition of one LUN under two names, and a program has the other partition exclusively',
    async (fixture) => {
      const [one, two] = await fixture.lunTwice();
      const [, other] = await fixture.partitionsOf(one);
      fixture.claim(other);
      return (await fixture.partitionsOf(two))[0];
    },
    ['w', 'free', 'apart'],
  ),
  ...idle(
    'one LUN under two names, with an unused volume on the other one',
    async (fixture) => {
      const [one, two] = await fixture.lunTwice();
      await fixture.mapped(linear(one, 0, HALF));
      return two;
    },
    ['w', 'free', 'unused'],
  ),
  ...idle(
    'one LUN under two names, of which a program has opened a volume on the other one',
    async (fixture) => {
      const [one, two] = await fixture.lunTwice();
      await fixture.opened(await fixture.mapped(linear(one, 0, HALF)));
      return two;
    },
    ['w', 'busy', 'alone'],
  ),
  ...idle(
    'a volume on a multipath device over both names of one LUN, beside one that is mounted',
    async (fixture) => {
      const [one, two] = await fixture.lunTwice();
      const paths = `round-robin 0 2 1 ${one} 1000 ${two} 1000`;
      const joined = await fixture.mapped(`0 ${ALL} multipath 0 0 1 1 ${paths}`);
      await fixture.mount(await fixture.mapped(linear(joined, HALF, HALF)), 'w');
      return await fixture.mapped(linear(joined, 0, HALF));
    },
    ['w', 'free', 'apart'],
  ),
  ...idle(
    'one LUN under two names, of which the other one does not answer',
    async (fixture) => {
      const [one, two] = await fixture.lunTwice();
      await fixture.offline(one);
      return two;
    },
    ['w', 'free', 'unused'],
  ),
  ...pair(
    'a volume with a snapshot, and the snapshot',
    async (fixture) => {
      const [real, exceptions] = [await disk(fixture), await disk(fixture)];
      const origin = await fixture.mapped(`0 ${ALL} snapshot-origin ${real}`);
      return [origin, await fixture.mapped(`0 ${ALL} snapshot ${real} ${exceptions} N 8`)];
    },
    ['w', 'w', 'free', 'apart'],
  ),
  ...pair(
    'a snapshot, and the device below its origin',
    async (fixture) => {
      const [real, exceptions] = [await disk(fixture), await disk(fixture)];
      return [await fixture.mapped(`0 ${ALL} snapshot ${real} ${exceptions} N 8`), real];
    },
    ['w', 'w', 'busy', 'alone'],
    ['w', 'r', 'free', 'readers'],
  ),
];

function missing(): never {
  throw new Error('there is no such ground');
}
