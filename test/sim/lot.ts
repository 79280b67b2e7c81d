import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { bundleEngine } from './bundle.js';
import { runSchedule } from './schedule.js';

/** The schedules that one process runs: the seeds from `first` up to, but without, `end`. */
export interface Lot {
  readonly first: number;
  readonly step: number;
  readonly end: number;
  /** The longest time for all of them. */
  readonly seconds: number;
  /** Whether the known limits count as violations, too. */
  readonly strict: boolean;
  /** Whether to go on after a violation. */
  readonly keepGoing: boolean;
}

/** The result of a lot. */
export interface LotResult {
  readonly count: number;
  readonly events: number;
  /** The sum of the virtual times; milliseconds. */
  readonly ms: number;
  readonly failures: readonly { readonly seed: number; readonly violation: string }[];
}

/** Runs the schedules of a lot in this process. */
export async function runLot(lot: Lot, tells = false): Promise<LotResult> {
  const session = await bundleEngine();
  let [count, events, ms] = [0, 0, 0];
  const failures: { seed: number; violation: string }[] = [];
  const until = performance.now() + 1000 * lot.seconds;
  for (let seed = lot.first; seed < lot.end; seed += lot.step) {
    if (performance.now() > until) break;
    const result = await runSchedule(session, seed, { tells, strict: lot.strict });
    count++;
    events += result.events;
    ms += result.ms;
    for (const line of result.story) console.log(line);
    const [violation] = result.violations;
    if (violation === undefined) continue;
    console.log(`seed ${seed}: ${violation}`);
    failures.push({ seed, violation });
    if (!lot.keepGoing) break;
  }
  return { count, events, ms, failures };
}

/** Runs the schedules of a lot in a process of their own. */
export async function runLotBeside(lot: Lot): Promise<LotResult> {
  const child = fork(fileURLToPath(import.meta.url), [JSON.stringify(lot)]);
  return await new Promise((resolve, reject) => {
    child.on('message', (result) => resolve(result as LotResult));
    child.on('exit', (code) =>
      reject(new Error(`a process with schedules has ended with ${code}`)),
    );
  });
}

if (process.send !== undefined && process.argv[1] === fileURLToPath(import.meta.url)) {
  const result = await runLot(JSON.parse(process.argv[2] ?? ''));
  process.send(result, () => process.disconnect());
}
