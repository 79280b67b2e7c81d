import { ANYTHING, HEALTHY, type Mix, SHORT } from './mix.js';

/** The mixes of schedules in which several domains are one virtual machine. */
export const KIN_MIXES: readonly Mix[] = [
  // Everything that can happen, on a few disks.
  { ...ANYTHING, guests: [3, 4], targets: [HEALTHY, '/dev/sda', `path=${HEALTHY},autoclear=no`] },
  // All want one disk at once, as a guest and its stub domain do.
  {
    ...{ ...SHORT, guests: [3, 4], targets: [HEALTHY, '/dev/sda'], stampede: 100, killed: 5 },
    ...{ slow: [20, 50], late: 20, lives: [1, 2] },
  },
  // Domains get the disk of another one as soon as that one goes, or before.
  {
    ...{ ...SHORT, guests: [3, 4], lives: [2, 3], targets: [HEALTHY, '/dev/sda'], killed: 10 },
    ...{ inherited: 60, orderly: 50, cut: 10, slow: [50, 80], pauses: [5, 50, 500] },
  },
  // The same with layers, of which those with a key make other bytes of the same disk.
  {
    ...{ ...SHORT, hasMapper: true, guests: [3, 4], lives: [1, 2], killed: 5, stampede: 30 },
    targets: [`path=${HEALTHY},layer=crypt`, `path=${HEALTHY},layer=linear`, HEALTHY],
    ...{ inherited: 50, orderly: 60, slow: [20, 50], late: 10, pauses: [5, 50, 500] },
  },
];
