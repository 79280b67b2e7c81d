import type { Mutant } from './bundle.js';

// Small changes that only schedules with partitions can find.

const PLACE = 'return { segments: [{ at: 0n, start, length: size, lower: disk }], unclaimed: [] };';

const CHANGES: readonly Omit<Mutant, 'needs'>[] = [
  {
    name: 'a partition has bytes of its own',
    file: 'topology/below.ts',
    find: PLACE,
    replace: `void [start, size, disk];
    return { segments: [{ ...ALL, storage: { kind: 'disk', devnum } }], unclaimed: [] };`,
  },
  {
    name: 'a partition reaches to the end of its disk',
    file: 'topology/below.ts',
    find: PLACE,
    replace: `void size;
    return { segments: [{ ...ALL, start, lower: disk }], unclaimed: [] };`,
  },
  {
    name: 'each partition begins where its disk begins',
    file: 'topology/below.ts',
    find: PLACE,
    replace: PLACE.replace('start,', 'start: start - start,'),
  },
  {
    name: 'a partition is found by its place in the list',
    file: 'block/locate-disk.ts',
    find: "if (readAttribute(directory, 'partition') === String(partition)) return directory;",
    replace: 'if (partition > 0) return directory;',
  },
];

export const PARTITION_MUTANTS: readonly Mutant[] = CHANGES.map((change) => ({
  ...change,
  needs: 'partitions',
}));
