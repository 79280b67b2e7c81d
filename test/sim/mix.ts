/** What happens how often in a schedule. Plain numbers are percentages. */
export interface Mix {
  readonly guests: readonly [number, number];
  /** How often each guest comes and goes. */
  readonly lives: readonly [number, number];
  readonly targets: readonly string[];
  /** All guests want the same disk at the same time. */
  readonly stampede: number;
  readonly daemon: number;
  /** Requests that go to the daemon, if there is one. */
  readonly asked: number;
  /** Scripts that are killed at any step. */
  readonly killed: number;
  /** Adds that are killed as soon as XenStore has their publication. */
  readonly cut: number;
  /** Removes that are killed as soon as XenStore has lost the publication. */
  readonly undercut: number;
  /** Toolstacks that run the remove before they have deleted the nodes, or asked anybody to close. */
  readonly forced: number;
  /** Adds that run twice at the same time. */
  readonly twice: number;
  /** Adds that run once more after a success. */
  readonly repeated: number;
  /** Guests that get the disk of another one as soon as that one goes. */
  readonly inherited: number;
  /** Nodes that are deleted while the guest has, or gets, its disk. */
  readonly deleted: number;
  /** The longest times until they are deleted; milliseconds. */
  readonly deletedAfter: readonly number[];
  /** Deleted nodes that are made anew a moment later. */
  readonly anew: number;
  /** Vbds that are made anew while a remove of them runs. */
  readonly contradicted: number;
  /** Toolstacks that take the disk away while an add of it runs. */
  readonly hasty: number;
  /** Toolstacks that close the disk before they delete its nodes. */
  readonly orderly: number;
  /** Toolstacks that do nothing for a while after their add was killed. */
  readonly neglected: number;
  /** Deleted nodes whose vbd nobody removes afterwards. */
  readonly abandoned: number;
  /** A restart of xenstored. */
  readonly restarted: number;
  /** Another disk under the same number. */
  readonly replugged: number;
  /** A disk whose sequence number rises. */
  readonly renumbered: number;
  /** The percentages of the driver's delays that are long. */
  readonly slow: readonly number[];
  /** Guests that make the driver report an error while it is about to open their disk. */
  readonly faulty: number;
  /** Answers of xenstored that come late. */
  readonly late: number;
  /** The longest times until a guest comes; milliseconds. */
  readonly pauses: readonly number[];
  /** Whether there is device-mapper. */
  readonly hasMapper: boolean;
  /** Whether a disk has partitions. */
  readonly hasPartitions: boolean;
  /** The names of the administrator's mapper devices. */
  readonly volumes: readonly string[];
  /** The longest pauses between two things that the administrator does with them; milliseconds. */
  readonly unrest: readonly number[];
}

export const HUNG = '/img/hung.img';
export const HEALTHY = '/img/a.img';
const KEPT = `path=${HEALTHY},autoclear=no`;

/** Everything that can happen, none of it often. */
export const ANYTHING: Mix = {
  guests: [2, 3],
  lives: [1, 3],
  targets: [HEALTHY, KEPT, '/img/b.img', '/dev/sda', '/dev/sda', HUNG],
  ...{ stampede: 30, daemon: 50, asked: 80, killed: 20, twice: 12, repeated: 20, inherited: 20 },
  ...{
    deleted: 15,
    deletedAfter: [10, 1000, 20_000],
    anew: 50,
    contradicted: 8,
    hasty: 2,
    orderly: 60,
  },
  ...{ restarted: 10, replugged: 30, renumbered: 20 },
  ...{ abandoned: 25, cut: 2, slow: [5, 20, 50], late: 2, pauses: [5, 500, 4000] },
  ...{
    undercut: 0,
    forced: 0,
    neglected: 0,
    faulty: 0,
    hasMapper: false,
    hasPartitions: false,
    volumes: [],
    unrest: [],
  },
};

/** A short schedule, in which one thing happens often. */
export const SHORT: Mix = {
  ...ANYTHING,
  ...{ guests: [2, 2], lives: [1, 1], stampede: 0, daemon: 20, restarted: 2, replugged: 0 },
  renumbered: 0,
};

/** Guests make the driver report errors, and others get the same disk. */
export const FAULTY: Mix = {
  ...{ ...SHORT, guests: [2, 3], targets: [HEALTHY, '/dev/sda', '/img/b.img'], faulty: 60 },
  ...{ inherited: 60, orderly: 40, killed: 5, slow: [50, 80], pauses: [5, 50, 500] },
};

/**
 * Adds are killed, then the removes of their vbds, and others get the same disk. XenStore may name
 * nothing then, although the driver is still about to open the disk.
 */
export const UNDERCUT: Mix = {
  ...{ ...SHORT, guests: [2, 3], targets: [HEALTHY, KEPT, '/dev/sda', '/dev/sda', '/img/b.img'] },
  ...{ killed: 15, cut: 60, undercut: 50, forced: 60, inherited: 60, deleted: 5, orderly: 30 },
  ...{ slow: [50, 80], pauses: [5, 50, 500] },
};

/** Adds and removes are killed or forgotten while `gc` runs, and disks get new sequence numbers. */
export const LEFT_BEHIND: Mix = {
  ...{ ...SHORT, guests: [2, 3], lives: [2, 3], targets: [KEPT, '/dev/sda', '/dev/sda'] },
  ...{ killed: 15, cut: 15, undercut: 30, forced: 30, inherited: 30, orderly: 50, neglected: 50 },
  ...{ deleted: 30, deletedAfter: [10, 1000], anew: 60, abandoned: 60, renumbered: 60 },
  ...{ daemon: 10, slow: [50, 80], pauses: [5, 500, 2000] },
};

/** The mixes of short schedules. Each makes some rare meeting of events likely. */
export const THEMES: readonly Mix[] = [
  // Many want one disk within a few milliseconds.
  {
    ...{ ...SHORT, guests: [2, 3], targets: ['/dev/sda', '/dev/sda', HEALTHY, KEPT] },
    ...{ stampede: 100, killed: 5, slow: [20, 50], late: 20 },
  },
  // Adds are killed, and others get the same disk while the driver has not opened it yet.
  {
    ...{ ...SHORT, targets: [HEALTHY, '/dev/sda', '/img/b.img'], daemon: 0, killed: 30, cut: 50 },
    ...{ inherited: 50, orderly: 30, slow: [50, 80], pauses: [5, 50, 500] },
  },
  // Vbds are made anew under their own path, with the same values.
  {
    ...{ ...SHORT, guests: [1, 2], targets: [KEPT, '/dev/sda', HEALTHY], stampede: 80, cut: 20 },
    ...{ daemon: 50, asked: 40, deleted: 70, anew: 95, contradicted: 60, killed: 10, twice: 30 },
    ...{ slow: [20, 50], late: 10 },
  },
  // A daemon serves a vbd that is made anew, while others ask for the vbd without the daemon.
  {
    ...{ ...SHORT, guests: [1, 2], targets: [KEPT, '/dev/sda', HEALTHY], daemon: 100, asked: 30 },
    ...{ deleted: 100, deletedAfter: [10, 100], anew: 100, killed: 2, slow: [50, 80], late: 20 },
  },
  // Toolstacks give an attach up while it is under way.
  {
    ...{ ...SHORT, guests: [1, 2], targets: [KEPT, '/dev/sda', HEALTHY], stampede: 50, hasty: 80 },
    ...{ killed: 5, slow: [20, 50], late: 10, pauses: [5, 500] },
  },
  // Vbds get other disks under their own path, and nobody removes what they had before.
  {
    ...{ ...SHORT, lives: [3, 4], targets: [KEPT, '/img/b.img'], daemon: 0, killed: 2 },
    ...{ orderly: 60, abandoned: 95, deleted: 0, slow: [50], pauses: [5, 500] },
  },
  // Two adds of one vbd run at once, and its loop device does not clear itself.
  {
    ...{ ...SHORT, guests: [1, 2], lives: [1, 2], targets: [KEPT, KEPT, HEALTHY], twice: 80 },
    ...{ killed: 30, cut: 10, deleted: 5, slow: [5, 50, 80], late: 10 },
  },
  // The sequence number of a disk rises while guests have it or want it.
  {
    ...{ ...SHORT, targets: ['/dev/sda'], renumbered: 100, killed: 5, cut: 10, slow: [50, 80] },
    pauses: [5, 50, 500],
  },
];
