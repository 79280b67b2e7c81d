import type { Blkback } from './blkback.js';
import type { Checks } from './checks.js';
import { Guest } from './guest.js';
import { checkKin } from './kin-scenario.js';
import { HEALTHY, HUNG } from './mix.js';
import { checkPartitions } from './partition-scenario.js';
import type { World } from './process.js';
import { checkQuotas } from './quota-scenario.js';
import { runScript } from './script.js';

/** How long the end may take; milliseconds of virtual time. */
const QUIET_MS = 400_000;

/** Runs the world until something has happened. */
export interface Waits {
  /** Waits until no process runs and blkback has nothing. */
  readonly settle: () => Promise<void>;
  readonly wait: <T>(promise: Promise<T>) => Promise<T | undefined>;
}

/** Checks the end: `remove` removes all that is left, and a hung disk disturbs no healthy one. */
export async function quiet(
  world: World,
  checks: Checks,
  blkback: Blkback,
  domids: readonly number[],
): Promise<void> {
  if (checks.violations.length > 0) return;
  const { scheduler } = world;
  blkback.isPrompt = true;
  world.store.quotas?.fix();
  const waits = waitsIn(world, checks, blkback);
  const { settle, wait } = waits;
  await settle();
  if (checks.violations.length > 0) return;
  for (const domid of domids) {
    const outcome = await wait(new Guest(world, checks, domid).remove(0));
    if (outcome !== 'done') checks.violate(`the last remove of guest ${domid} ${outcome}`);
  }
  checks.checkQuiet([...world.processes].map(({ name }) => name));
  if (checks.kin !== undefined) await checkKin(world, checks, waits);
  if (world.kernel.disks.has('sda1')) await checkPartitions(world, checks, waits);
  const { quotas } = world.store;
  if (quotas !== undefined) await checkQuotas(world, checks, quotas, waits);
  if (scheduler.random.percent(90)) return;
  await checkHung(world, checks, waits);
}

/** Returns the waits of the end, which all together last as long as it may take. */
function waitsIn({ scheduler, kernel, processes }: World, checks: Checks, blkback: Blkback): Waits {
  const until = scheduler.now + QUIET_MS;
  const settle = async (): Promise<void> => {
    const isBusy = (): boolean =>
      processes.size > 0 ||
      blkback.opens.size > 0 ||
      blkback.instances.size > 0 ||
      [...(kernel.mapper?.devices ?? [])].some(({ isDeferred }) => isDeferred);
    await scheduler.run(() => !isBusy() || checks.violations.length > 0, until);
  };
  const wait = async <T>(promise: Promise<T>): Promise<T | undefined> => {
    let result: T | undefined;
    let isDone = false;
    void promise.then((value) => {
      [result, isDone] = [value, true];
    });
    await scheduler.run(() => isDone, until);
    return result;
  };
  return { settle, wait };
}

/** Checks that a healthy disk is served while another one hangs. */
async function checkHung(world: World, checks: Checks, { settle, wait }: Waits): Promise<void> {
  const hung = new Guest(world, checks, 8);
  const file = world.kernel.files.get(HUNG);
  if (file !== undefined) file.hung = true;
  hung.create(HUNG, 'w');
  const stuck = runScript(world, checks, 'add', hung.backend, { timeoutMs: 20_000 });
  const guest = new Guest(world, checks, 9);
  guest.create(HEALTHY, 'w');
  const healthy = runScript(world, checks, 'add', guest.backend, { timeoutMs: 8000 });
  const outcome = await wait(healthy.ended);
  if (outcome !== 'done') checks.violate(`a healthy disk was not served: ${outcome}`);
  await wait(stuck.ended);
  for (const one of [guest, hung]) one.deleteNodes();
  await settle();
  for (const one of [guest, hung]) await wait(one.remove(0));
  checks.checkQuiet([...world.processes].map(({ name }) => name));
}
