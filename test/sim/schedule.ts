import type { Random } from '../bed/random.js';
import { Blkback } from './blkback.js';
import { Checks } from './checks.js';
import { featureOf } from './features.js';
import { Garbage, HANDMADE } from './garbage.js';
import type { Session } from './globals.js';
import { DeviceMapper } from './kernel/device-mapper.js';
import { Kernel } from './kernel/kernel.js';
import { Uevents } from './kernel/uevents.js';
import { Kin } from './kin.js';
import { HEALTHY, HUNG, type Mix } from './mix.js';
import { partition } from './partitions.js';
import { pickMix } from './pick-mix.js';
import { KILLED, type World } from './process.js';
import { quiet } from './quiet.js';
import { Quotas } from './quotas.js';
import { Scheduler } from './scheduler.js';
import { SimulatedStore } from './store.js';
import { turmoil } from './turmoil.js';
import { Udev } from './udev.js';

/** The result of a schedule. */
export interface ScheduleResult {
  readonly seed: number;
  readonly violations: readonly string[];
  readonly story: readonly string[];
  readonly events: number;
  /** The virtual time; milliseconds. */
  readonly ms: number;
}

const GIB = 1n << 30n;

/** Runs the schedule that a seed determines. */
export async function runSchedule(
  session: Session,
  seed: number,
  { tells = false, strict = false }: { readonly tells?: boolean; readonly strict?: boolean } = {},
): Promise<ScheduleResult> {
  // Errors are frequent here, and their stack traces would take more time than everything else.
  Error.stackTraceLimit = 0;
  const scheduler = new Scheduler(seed, tells);
  const kernel = new Kernel();
  const store = new SimulatedStore(scheduler);
  const checks = new Checks({ scheduler, kernel, store }, strict);
  const violate = (what: string): void => checks.violate(what);
  session.current = undefined;
  const world: World = {
    ...{ scheduler, kernel, store, session, violate, processes: new Set() },
    onMapperRemoval: (device) => checks.onMapperRemoval(device),
  };
  const guise = scheduler.random.percent(50) ? 'stock' : 'key';
  scheduler.tell('blkback', () => `is ${guise}`);
  const gc = featureOf(seed, 'gc');
  const picked = pickMix(scheduler.random, seed);
  const mix = gc ? { ...picked, targets: [...picked.targets, HANDMADE] } : picked;
  store.late = mix.late;
  const driver = { slow: scheduler.random.pick(mix.slow), faulty: mix.faulty };
  const blkback = new Blkback(world, guise, checks, driver);
  checks.watch(blkback);
  const onRejection = (reason: unknown): void => {
    if (reason !== KILLED) violate(`unhandled: ${String(reason)}`);
  };
  process.on('unhandledRejection', onRejection);
  try {
    furnish(kernel, scheduler, mix);
    const bare = featureOf(seed, 'bare /dev');
    if (bare) makeDevBare(kernel, bare);
    const uevents = featureOf(seed, 'uevents');
    if (uevents) kernel.uevents = makeUevents(uevents);
    const kin = featureOf(seed, 'kin');
    const quotas = featureOf(seed, 'quotas');
    if (quotas) store.quotas = new Quotas(scheduler, quotas);
    if (kin) checks.kin = new Kin(store, kin);
    kernel.showsProcesses ||= gc !== undefined;
    store.hasFrontends = gc !== undefined;
    const garbage = gc && new Garbage(world, checks, gc);
    garbage?.start();
    const probing = featureOf(seed, 'udev');
    const udev = probing && new Udev(world, probing);
    kernel.onChange = (disk) => udev?.onChange(disk);
    kernel.showsProcesses ||= probing !== undefined;
    const domids = await turmoil(world, checks, blkback, mix);
    garbage?.stop();
    udev?.stop();
    await quiet(world, checks, blkback, domids);
  } finally {
    process.off('unhandledRejection', onRejection);
  }
  const { story, count: events, now: ms } = scheduler;
  return { seed, violations: checks.violations, story, events, ms };
}

function furnish(kernel: Kernel, scheduler: Scheduler, { hasMapper, hasPartitions }: Mix): void {
  const { random } = scheduler;
  kernel.addFile('/run/xen-blkback/sharing.lock', 0n);
  for (const path of [HEALTHY, '/img/b.img']) kernel.addFile(path, GIB);
  kernel.addFile(HUNG, GIB).hung = random.percent(30);
  kernel.addDisk('sda', { major: 8, minor: 0 });
  if (hasPartitions) partition(kernel);
  for (let number = random.below(4); number > 0; number--) kernel.addLoop(number - 1);
  if (!hasMapper) return;
  kernel.showsProcesses = true;
  for (const [index, name] of ['sdc', 'sdd', 'sde', 'sdf'].entries()) {
    kernel.addDisk(name, { major: 8, minor: 32 + 16 * index });
  }
  const within = (longest: number) => (run: () => void) =>
    void scheduler.after(random.fraction() * longest, run);
  const later = within(30);
  const udev = (run: () => void): void => within(random.percent(75) ? 30 : 1000)(run);
  kernel.mapper = new DeviceMapper(kernel, { later, udev });
}

/** Makes sockets that lose some of the messages, few or many of them, or none. */
function makeUevents(random: Random): Uevents {
  const lost = random.pick([0, 2, 30]);
  return new Uevents(() => random.percent(lost));
}

/** Leaves the loop devices without nodes, as in the /dev of a container. */
function makeDevBare(kernel: Kernel, random: Random): void {
  kernel.hasLoopNodes = false;
  kernel.makesLoopsAtOpen = random.percent(50);
}
