import { Blkback } from './blkback.js';
import { Checks } from './checks.js';
import { Daemon } from './daemon.js';
import type { Session } from './globals.js';
import { Guest } from './guest.js';
import { Kernel } from './kernel/kernel.js';
import { KILLED, type World } from './process.js';
import { Scheduler } from './scheduler.js';
import { runScript } from './script.js';
import { SimulatedStore } from './store.js';

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
const [HUNG, HEALTHY] = ['/img/hung.img', '/img/a.img'];
/** Virtual times: how long guests come and go, and how long the end may take; milliseconds. */
const [TURMOIL_MS, QUIET_MS] = [300_000, 400_000];

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
  const world: World = { scheduler, kernel, store, session, violate, processes: new Set() };
  const guise = scheduler.random.percent(50) ? 'stock' : 'key';
  scheduler.tell('blkback', () => `is ${guise}`);
  const blkback = new Blkback(world, guise, checks);
  checks.watch(blkback);
  const onRejection = (reason: unknown): void => {
    if (reason !== KILLED) violate(`unhandled: ${String(reason)}`);
  };
  process.on('unhandledRejection', onRejection);
  try {
    furnish(kernel, scheduler);
    await turmoil(world, checks, blkback);
    await quiet(world, checks, blkback);
  } finally {
    process.off('unhandledRejection', onRejection);
  }
  const { story, count: events, now: ms } = scheduler;
  return { seed, violations: checks.violations, story, events, ms };
}

function furnish(kernel: Kernel, { random }: Scheduler): void {
  kernel.addFile('/run/xen-blkback/sharing.lock', 0n);
  for (const path of [HEALTHY, '/img/b.img']) kernel.addFile(path, GIB);
  kernel.addFile(HUNG, GIB).hung = random.percent(30);
  kernel.addDisk('sda', { major: 8, minor: 0 });
  for (let number = random.below(4); number > 0; number--) kernel.addLoop(number - 1);
}

/** Lets some guests come and go, with a few disks that several of them want. */
async function turmoil(world: World, checks: Checks, blkback: Blkback): Promise<void> {
  const { scheduler, store, kernel } = world;
  const { random } = scheduler;
  const daemon = new Daemon(world, checks);
  const guests = Array.from(
    { length: random.between(2, 3) },
    (_, index) => new Guest(world, checks, index + 1, daemon),
  );
  let left = guests.length;
  if (random.percent(50)) {
    daemon.start(() => (random.percent(30) ? random.between(1, 3000) : undefined));
  }
  const targets = [
    ...[HEALTHY, `path=${HEALTHY},autoclear=no`, '/img/b.img', '/dev/sda', '/dev/sda', HUNG],
  ];
  // Sometimes all guests want the same disk at the same time.
  const stampede = random.percent(30) ? random.pick(targets) : undefined;
  // Guests that wait for the disk of another one, like a guest that returns under a new number.
  const heirs: ((params: string) => void)[] = [];
  const live = async (guest: Guest): Promise<void> => {
    let params = stampede ?? random.pick(targets);
    for (let lives = random.between(1, 3); lives > 0; lives--) {
      if (random.percent(20)) {
        const late = guest.sleep(random.fraction() * 4000).then(() => params);
        params = await Promise.race([new Promise<string>((resolve) => heirs.push(resolve)), late]);
      } else {
        await guest.sleep(random.fraction() * (stampede ? 3 : random.pick([5, 500, 4000])));
        if (stampede === undefined && random.percent(60)) params = random.pick(targets);
      }
      const mode = random.percent(70) ? 'w' : 'r';
      checks.contradicted.delete(guest.backend);
      guest.create(params, mode);
      const life = { isOver: false };
      if (random.percent(15)) {
        const again = random.percent(50);
        scheduler.after(random.fraction() * random.pick([10, 1000, 20_000]), () => {
          guest.deleteNodes();
          const remake = (): void => {
            if (!life.isOver) guest.create(params, mode);
          };
          if (again) scheduler.after(random.fraction() * random.pick([1, 50]), remake);
        });
      }
      const outcome = await guest.add();
      if (outcome === 'done' && random.percent(20)) await guest.add();
      if (outcome === 'done') await guest.sleep(random.fraction() * 3000);
      life.isOver = true;
      const given = params;
      const inherit = (): void => {
        for (const heir of heirs.splice(0)) heir(given);
      };
      if (outcome === 'killed') inherit();
      scheduler.after(random.fraction() * random.pick([1, 20, 200]), inherit);
      if (random.percent(8)) await guest.remakeWhileRemoved(params, mode);
      await guest.destroy();
      // Mostly, a backend path is used again only after its last instance is gone.
      const end = scheduler.now + (random.percent(85) ? 60_000 : 0);
      while (blkback.instances.has(guest.backend) && scheduler.now < end) await guest.sleep(50);
    }
    left--;
  };
  for (const guest of guests)
    void live(guest).catch((error) => world.violate(`toolstack: ${error}`));
  // There is no restart at the end, because a toolstack would have to repeat its request then.
  const restart = (): void => {
    if (left > 0) store.restart();
  };
  if (random.percent(10)) scheduler.after(random.fraction() * 4000, restart);
  if (random.percent(30))
    scheduler.after(random.fraction() * 9000, () => replug(world, checks, blkback));
  for (let times = random.percent(20) ? 3 : 0; times > 0; times--) {
    scheduler.after(random.fraction() * 4000, () => {
      const disk = kernel.disks.get('sda');
      if (disk !== undefined) kernel.renumber(disk);
    });
  }
  await scheduler.run(() => left === 0 || checks.violations.length > 0, TURMOIL_MS);
  for (const guest of guests) guest.deleteNodes();
  daemon.stop();
}

/** Replaces a disk by another one with the same number, if nobody uses or is about to use it. */
function replug({ kernel, store, scheduler }: World, checks: Checks, blkback: Blkback): void {
  const disk = kernel.disks.get('sda');
  const isNamed = [...store.nodes].some(
    ([path, { value }]) => path.endsWith('/physical-device') && value.toString() === '8:0',
  );
  const isAwaited = [...blkback.instances.values()].some(({ number }) => number?.major === 8);
  if (disk === undefined || disk.opens > 0 || isNamed || isAwaited) return;
  scheduler.tell('kernel', () => 'has another disk under 8:0');
  kernel.disks.delete('sda');
  kernel.addDisk('sda', disk.devnum);
  checks.onReplaced('/dev/sda');
}

/** Checks the end: `remove` removes all that is left, and a hung disk disturbs no healthy one. */
async function quiet(world: World, checks: Checks, blkback: Blkback): Promise<void> {
  if (checks.violations.length > 0) return;
  const { scheduler, kernel } = world;
  blkback.isPrompt = true;
  const until = scheduler.now + QUIET_MS;
  const settle = async (): Promise<void> => {
    const isBusy = (): boolean =>
      world.processes.size > 0 || blkback.opens.size > 0 || blkback.instances.size > 0;
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
  await settle();
  if (checks.violations.length > 0) return;
  for (const domid of [1, 2, 3]) {
    const outcome = await wait(new Guest(world, checks, domid).remove(0));
    if (outcome !== 'done') checks.violate(`the last remove of guest ${domid} ${outcome}`);
  }
  checks.checkQuiet([...world.processes].map(({ name }) => name));
  if (scheduler.random.percent(75)) return;
  const hung = new Guest(world, checks, 8);
  const file = kernel.files.get(HUNG);
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
