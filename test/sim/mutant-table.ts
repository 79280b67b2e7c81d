import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from '../bed/paths.js';
import { hunt } from './hunt.js';
import { MUTANTS } from './mutants.js';

const SEEDS = 'test/sim/mutant-seeds.ts';

/**
 * Prints for each mutant the first schedule that finds it. If all mutants were looked for from
 * schedule 1 on, writes these schedules to mutant-seeds.ts.
 */
export async function tableOfMutants(seed: number, schedules: number, name: string): Promise<void> {
  const seeds: Record<string, number> = {};
  for (const mutant of MUTANTS.filter((one) => one.name.includes(name))) {
    const found = await hunt(mutant, { seed, schedules });
    const after = found === undefined ? 'NOT FOUND' : `${found.seed}`.padStart(9);
    console.log(`${after}  ${mutant.name}${found ? `: ${found.violation}` : ''}`);
    if (found === undefined) process.exitCode = 1;
    else seeds[mutant.name] = found.seed;
  }
  if (name === '' && seed === 1) writeSeeds(seeds);
}

function writeSeeds(seeds: Readonly<Record<string, number>>): void {
  const lines = Object.entries(seeds).map(([name, seed]) => `  '${name}': ${seed},`);
  const text = `/** The first schedule that finds each mutant. \`npm run sim -- --mutants\` writes this file. */
export const MUTANT_SEEDS: Readonly<Record<string, number>> = {
${lines.map((line) => line.replace(/^ {2}'(\w+)':/, '  $1:')).join('\n')}
};
`;
  writeFileSync(join(projectRoot, SEEDS), text);
  console.log(`${SEEDS} is written`);
}
