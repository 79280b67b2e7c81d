import { parseArgs } from 'node:util';
import { bundleEngine } from './bundle.js';
import { hunt } from './hunt.js';
import { MUTANTS } from './mutants.js';
import { runSchedule } from './schedule.js';

/** `npm run sim -- --seed N --schedules M`: runs schedules, and tells the story of the first that fails. */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string', default: '1' },
      schedules: { type: 'string', default: '1000' },
      mutants: { type: 'boolean', default: false },
      mutant: { type: 'string', default: '' },
      strict: { type: 'boolean', default: false },
      story: { type: 'boolean', default: false },
      'keep-going': { type: 'boolean', default: false },
    },
  });
  const [seed, schedules] = [Number(values.seed), Number(values.schedules)];
  if (values.mutants) return await huntAll(seed, schedules, values.mutant);
  const session = await bundleEngine();
  const before = performance.now();
  let [events, ms, failures] = [0, 0, 0];
  for (let at = seed; at < seed + schedules; at++) {
    const result = await runSchedule(session, at, { tells: values.story, strict: values.strict });
    events += result.events;
    ms += result.ms;
    if (values.story) for (const line of result.story) console.log(line);
    if (result.violations.length === 0) continue;
    failures++;
    console.log(`seed ${at}: ${result.violations[0]}`);
    if (values['keep-going']) continue;
    const { story } = await runSchedule(session, at, { tells: true, strict: values.strict });
    for (const line of story.slice(-200)) console.log(line);
    break;
  }
  const seconds = (performance.now() - before) / 1000;
  console.log(
    `${schedules} schedules from seed ${seed} on, ${failures} of them failed: ${(schedules / seconds).toFixed(0)} a second, ${(events / schedules).toFixed(0)} events and ${(ms / schedules / 1000).toFixed(1)} s of virtual time each`,
  );
  if (failures > 0) process.exitCode = 1;
}

/** How many schedules it takes to find each mutant. */
async function huntAll(seed: number, schedules: number, name: string): Promise<void> {
  for (const mutant of MUTANTS.filter((one) => one.name.includes(name))) {
    const found = await hunt(mutant, seed, schedules);
    const after = found === undefined ? 'NOT FOUND' : `${found.seed - seed + 1}`.padStart(9);
    console.log(`${after}  ${mutant.name}${found ? `: ${found.violation}` : ''}`);
    if (found === undefined) process.exitCode = 1;
  }
}

await main();
