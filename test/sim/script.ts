import type { Engine } from './bundle.js';
import type { Checks } from './checks.js';
import { KILLED, SimulatedProcess, type World } from './process.js';

export type Action = 'add' | 'remove';
export type Outcome = 'done' | 'failed' | 'killed';

/** How long libxl waits for a script; milliseconds. */
const SCRIPT_MS = 40_000;
/** How much later than its timeout a call may end, because it waits for a last close; in ms. */
const GRACE_MS = 1500;

/** Options of `runScript`. */
export interface ScriptOptions {
  readonly timeoutMs: number;
  /** The number of steps after which the script is killed. */
  readonly killAfter?: number | undefined;
}

/** A script that has been started. */
export interface Script {
  readonly ended: Promise<Outcome>;
  readonly process: SimulatedProcess;
  /** Returns the error with which the script has ended; an empty text if there is none. */
  readonly why: () => string;
}

/** Runs the hotplug script for a vbd in a process of its own. */
export function runScript(
  world: World,
  checks: Checks,
  action: Action,
  backend: string,
  { timeoutMs, killAfter }: ScriptOptions,
): Script {
  const { scheduler } = world;
  const process = new SimulatedProcess(world, `${action} ${backend} `, killAfter);
  const since = scheduler.now;
  const before = checks.lookAt(backend);
  let outcome: Outcome = 'killed';
  let failure = '';
  const ended = new Promise<Outcome>((resolve) =>
    process.onEnd(() => {
      if (outcome === 'killed') checks.onKilled(backend);
      resolve(outcome);
    }),
  );
  const end = (how: Outcome, why: string): void => {
    if (!process.isAlive) return;
    [outcome, failure] = [how, why];
    const took = scheduler.now - since;
    if (took > timeoutMs + GRACE_MS) {
      checks.violate(`${action} ${backend} took ${took.toFixed(0)} of ${timeoutMs} ms`);
    }
    if (action === 'add' && how === 'done') checks.onAdded(backend, since, process);
    if (action === 'remove' && how === 'done') checks.onRemoved(before);
    if (action === 'add' && how === 'failed') checks.onFailed(backend);
    checks.onExit(process);
    process.kill(`exits: ${how} ${why}`);
  };
  run(process, action, backend, timeoutMs).then(
    () => end('done', ''),
    (error) => end('failed', String(error)),
  );
  scheduler.after(SCRIPT_MS, () => {
    if (!process.isAlive) return;
    checks.violate(`${action} ${backend} has not ended after ${SCRIPT_MS} ms`);
    process.kill('is killed by the toolstack');
  });
  return { ended, process, why: () => failure };
}

async function run(
  process: SimulatedProcess,
  action: Action,
  backend: string,
  timeoutMs: number,
): Promise<void> {
  // A process needs a moment to start.
  await new Promise<void>((resolve) => process.after(0.5, resolve));
  const engine: Engine = process.load();
  const vbd = engine.parseVbdPath(backend);
  if (vbd === undefined) throw KILLED;
  const store = await engine.openXenstore();
  const place = { timeoutMs, sysfs: '/sys', runDirectory: '/run/xen-blkback' };
  const onStep = (step: string, detail: string): void =>
    process.world.scheduler.tell(process.name, () => `${step} (${detail})`);
  if (action === 'add') await engine.attach(store, vbd, { ...place, uapi: 'key', onStep });
  else await engine.detach(store, vbd, { ...place, onStep });
}
