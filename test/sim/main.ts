import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { bundleEngine } from './bundle.js';
import { type LotResult, runLot, runLotBeside } from './lot.js';
import { tableOfMutants } from './mutant-table.js';
import { runSchedule } from './schedule.js';

/**
 * Runs `npm run sim -- --seed N --schedules M`: runs schedules, and prints the story of the first
 * one that fails.
 */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string', default: '1' },
      schedules: { type: 'string', default: '1000' },
      seconds: { type: 'string', default: '1000000' },
      jobs: { type: 'string', default: String(availableParallelism()) },
      mutants: { type: 'boolean', default: false },
      mutant: { type: 'string', default: '' },
      strict: { type: 'boolean', default: false },
      story: { type: 'boolean', default: false },
      'keep-going': { type: 'boolean', default: false },
    },
  });
  const [seed, schedules] = [Number(values.seed), Number(values.schedules)];
  if (values.mutants) return await tableOfMutants(seed, schedules, values.mutant);
  const seconds = Number(values.seconds);
  const options = { strict: values.strict, keepGoing: values['keep-going'], seconds };
  const jobs = values.story ? 1 : Math.min(Number(values.jobs), schedules);
  const before = performance.now();
  const all = await Promise.all(
    Array.from({ length: jobs }, (_, job) => {
      const lot = { first: seed + job, step: jobs, end: seed + schedules, ...options };
      return jobs === 1 ? runLot(lot, values.story) : runLotBeside(lot);
    }),
  );
  const sum = (of: (result: LotResult) => number): number =>
    all.reduce((total, result) => total + of(result), 0);
  const [count, failed] = [sum((one) => one.count), all.flatMap(({ failures }) => failures)];
  const took = (performance.now() - before) / 1000;
  if (failed[0] !== undefined && !options.keepGoing)
    await tellStory(failed[0].seed, options.strict);
  console.log(
    `${count} schedules from seed ${seed} on, ${failed.length} of them failed: ${(count / took).toFixed(0)} a second in ${jobs} processes, ${(sum((one) => one.events) / count).toFixed(0)} events and ${(sum((one) => one.ms) / count / 1000).toFixed(1)} s of virtual time each`,
  );
  if (failed.length > 0) process.exitCode = 1;
}

async function tellStory(seed: number, strict: boolean): Promise<void> {
  const { story } = await runSchedule(await bundleEngine(), seed, { tells: true, strict });
  for (const line of story.slice(-200)) console.log(line);
}

await main();
