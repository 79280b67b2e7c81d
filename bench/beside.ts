import {
  type DiskKind,
  describeBeside,
  measureBeside,
} from '../test/integration/authority/beside.js';

// Measures what an add costs on a machine with many guests and on one without guests, for each kind
// of disk:
//   node dist/bench/beside.js [file|disk|mapper|volume ...]

const COUNT = Number(process.env.XEN_BLKBACK_BESIDE || 1000);
const ROUNDS = 30;

const asked = process.argv.slice(2) as DiskKind[];
for (const kind of asked.length > 0 ? asked : (['file', 'disk'] as const)) {
  const measured = await measureBeside(kind, { count: COUNT, rounds: ROUNDS, guise: 'stock' });
  console.log(`${kind}: ${describeBeside(measured, COUNT)}`);
}
