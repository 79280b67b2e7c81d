import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from '../bed/paths.js';
import { hunt } from './hunt.js';
import { MUTANT_SEEDS } from './mutant-seeds.js';
import { MUTANTS } from './mutants.js';

const SEEDS = 'test/sim/mutant-seeds.ts';

/**
 * Prints for each mutant the first schedule that finds it. Where the schedules were tried from 1 on,
 * writes these numbers to mutant-seeds.ts.
 */
export async function tableOfMutants(seed: number, schedules: number, name: string): Promise<void> {
  const seeds: Record<string, number | undefined> = { ...MUTANT_SEEDS };
  for (const mutant of MUTANTS.filter((one) => one.name.includes(name))) {
    const found = await hunt(mutant, { seed, schedules });
    const after = found === undefined ? 'NOT FOUND' : `${found.seed}`.padStart(9);
    console.log(`${after}  ${mutant.name}${found ? `: ${found.violation}` : ''}`);
    if (found === undefined) process.exitCode = 1;
    seeds[mutant.name] = found?.seed;
    // Written after each one: the search for all of them takes its time.
    if (seed === 1) writeSeeds(seeds);
  }
}

function writeSeeds(seeds: Readonly<Record<string, number | undefined>>): void {
  const lines = MUTANTS.filter(({ name }) => seeds[name] !== undefined).map(
    ({ name }) => `  '${name}': ${seeds[name]},`,
  );
  const text = `/** The first schedule that finds each mutant. \`npm run sim -- --mutants\` writes this file. */
export const MUTANT_SEEDS: Readonly<Record<string, number>> = {
${lines.join('\n')}
};
`;
  writeFileSync(join(projectRoot, SEEDS), text);
}
