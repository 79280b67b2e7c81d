/** The first schedule that finds each mutant. `npm run sim -- --mutants` writes this file. */
export const MUTANT_SEEDS: Readonly<Record<string, number>> = {};
