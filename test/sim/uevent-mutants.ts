import type { Mutant } from './bundle.js';

// Small changes that only schedules can find in which the daemon hears the kernel's events, and mapper
// devices get other tables.

const CHANGES: readonly Omit<Mutant, 'needs'>[] = [
  {
    name: 'events that were lost count as events that never were',
    file: 'topology/storage-index.ts',
    find: "drained !== 'overrun' ? drained : undefined",
    replace: "drained !== 'overrun' ? drained : wasComplete ? [] : undefined",
  },
  {
    name: 'the index believes what it knew of a device before its event',
    file: 'topology/storage-index.ts',
    find: 'for (const { devnum } of events ?? []) this.#table.nodes.doubt(devnumKey(devnum));',
    replace: '',
  },
  {
    name: 'the index does not look at a loop device after its event',
    file: 'topology/stackable-devices.ts',
    find: 'if (this.#loopsAreTold) for (const loop of loops.values()) this.#updateLoop(loop, come, gone);',
    replace: '',
  },
];

export const UEVENT_MUTANTS: readonly Mutant[] = CHANGES.map((change) => ({
  ...change,
  needs: ['uevents', 'device-mapper'],
}));
