import { FIRST_DISKSEQ } from './kernel/kernel.js';
import { ANYTHING, HEALTHY, type Mix, SHORT } from './mix.js';

// The mixes of schedules with a disk that has partitions.

const DISK = { hasPartitions: true, replugged: 0 };
const BY_DISKSEQ = `diskseq=${FIRST_DISKSEQ},partition=`;
const ALL = ['/dev/sda', '/dev/sda1', '/dev/sda2', `${BY_DISKSEQ}1`, `${BY_DISKSEQ}2`];

export const PARTITION_MIXES: readonly Mix[] = [
  // Everything that can happen.
  { ...ANYTHING, ...DISK, stampede: 10, targets: [...ALL, HEALTHY] },
  // Several want the disk and its partitions within a few milliseconds.
  {
    ...{ ...SHORT, ...DISK, guests: [3, 3], lives: [1, 2], targets: ALL, killed: 5 },
    ...{ slow: [20, 50], late: 20, pauses: [1, 3, 50] },
  },
  // Adds are killed, and others want the same bytes while the driver has not opened them yet.
  {
    ...{ ...SHORT, ...DISK, guests: [2, 3], lives: [2, 3], targets: ALL, daemon: 0, killed: 20 },
    ...{ cut: 40, orderly: 30, deleted: 30, slow: [50, 80], pauses: [5, 50, 500] },
  },
  // Layers claim the disk or one of its partitions.
  {
    ...{ ...SHORT, ...DISK, hasMapper: true, guests: [2, 3], lives: [1, 3], killed: 10, cut: 10 },
    targets: [...ALL, ...['sda', 'sda1', 'sda2'].map((name) => `path=/dev/${name},layer=linear`)],
    ...{ orderly: 60, slow: [20, 50], pauses: [5, 50, 500] },
  },
];
