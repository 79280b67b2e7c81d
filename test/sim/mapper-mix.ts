import { ANYTHING, HEALTHY, type Mix, SHORT } from './mix.js';

// The mixes of schedules with device-mapper.

const LINEAR_FILE = `path=${HEALTHY},layer=linear`;
const LINEAR_DISK = 'path=/dev/sda,layer=linear';
const CRYPT_FILE = 'path=/img/b.img,layer=crypt';
const KEPT_LAYER = 'path=/img/b.img,layer=linear,autoclear=no';
const VOLUME = 'dm-name=data';
const GOING = 'dm-name=data,deferred-remove=yes';

/** The names of the administrator's mapper devices, and how restless they are. */
const VOLUMES = { hasMapper: true, volumes: ['data', 'more'], unrest: [50, 500, 3000] };
const LAYERS = { hasMapper: true };

/** The mixes with device-mapper. */
export const MAPPER_MIXES: readonly Mix[] = [
  // Everything that can happen, on every kind of device.
  {
    ...{ ...ANYTHING, ...VOLUMES, neglected: 50 },
    targets: [
      ...[VOLUME, GOING, 'dm-name=more', '/dev/mapper/data', 'path=/dev/mapper/data,layer=linear'],
      ...[LINEAR_FILE, LINEAR_DISK, CRYPT_FILE, KEPT_LAYER, '/dev/sda', '/dev/sdc', HEALTHY],
    ],
  },
  // Mapper devices are removed and made anew while guests want them.
  {
    ...{ ...SHORT, ...VOLUMES, unrest: [5, 50, 200], lives: [2, 3] },
    targets: [VOLUME, GOING, 'dm-name=more', '/dev/mapper/data', '/dev/mapper/more', '/dev/sdc'],
    ...{ killed: 5, slow: [20, 50], pauses: [5, 50, 500] },
  },
  // Several want one disk, directly or through a mapper device, within a few milliseconds.
  {
    ...{ ...SHORT, ...VOLUMES, guests: [2, 3], lives: [1, 2], unrest: [50, 500] },
    targets: [VOLUME, GOING, 'dm-name=more', '/dev/sda', '/dev/sdc', LINEAR_DISK],
    ...{ killed: 10, inherited: 50, orderly: 30, slow: [20, 50, 80], late: 20, pauses: [3, 50] },
  },
  // Adds that make layers are killed, and others want a layer or the same disk at that moment.
  {
    ...{ ...SHORT, ...LAYERS, guests: [3, 3], lives: [2, 3], daemon: 10, killed: 10, cut: 40 },
    targets: [LINEAR_FILE, LINEAR_DISK, CRYPT_FILE, KEPT_LAYER, '/dev/sda', HEALTHY],
    ...{ inherited: 10, orderly: 80, neglected: 90, slow: [50, 80], pauses: [5, 50, 500] },
  },
  // Vbds with layers are made anew under their own path, removed at the same time, or given up.
  {
    ...{ ...SHORT, ...LAYERS, guests: [1, 2], stampede: 50, cut: 10, daemon: 50, asked: 40 },
    targets: [LINEAR_FILE, LINEAR_DISK, KEPT_LAYER],
    ...{ deleted: 60, anew: 90, contradicted: 50, hasty: 30, killed: 20, twice: 30 },
    ...{ slow: [20, 50], late: 10 },
  },
];
