import type { Blkback } from './blkback.js';
import type { Checks } from './checks.js';
import { Daemon } from './daemon.js';
import { Guest } from './guest.js';
import type { Mix } from './mix.js';
import { repartition } from './partitions.js';
import type { World } from './process.js';
import { Volumes } from './volumes.js';

/** How long guests come and go; milliseconds of virtual time. */
const TURMOIL_MS = 300_000;

/**
 * Lets some guests come and go, with a few disks that several of them want. Returns the domids of those
 * of which something may be left.
 */
export async function turmoil(
  world: World,
  checks: Checks,
  blkback: Blkback,
  mix: Mix,
): Promise<readonly number[]> {
  const { scheduler, store, kernel } = world;
  const { random } = scheduler;
  const daemon = new Daemon(world, checks);
  const guests = Array.from(
    { length: random.between(...mix.guests) },
    (_, index) => new Guest(world, checks, index + 1, { daemon, mix }),
  );
  let left = guests.length;
  const hasDaemon = random.percent(mix.daemon);
  if (hasDaemon) {
    daemon.start(() => (random.percent(30) ? random.between(1, 3000) : undefined));
  }
  const volumes = new Volumes(world, checks, blkback, mix);
  if (kernel.mapper !== undefined) volumes.start(kernel.mapper);
  const { targets } = mix;
  // Sometimes all guests want the same disk at the same time.
  const stampede = random.percent(mix.stampede) ? random.pick(targets) : undefined;
  // Guests that wait for the disk of another one, like a guest that returns under a new number.
  const heirs: ((params: string) => void)[] = [];
  const live = async (guest: Guest): Promise<void> => {
    let params = stampede ?? random.pick(targets);
    for (let lives = random.between(...mix.lives); lives > 0; lives--) {
      if (random.percent(mix.inherited)) {
        const late = guest.sleep(random.fraction() * 4000).then(() => params);
        params = await Promise.race([new Promise<string>((resolve) => heirs.push(resolve)), late]);
      } else {
        await guest.sleep(random.fraction() * (stampede ? 3 : random.pick(mix.pauses)));
        if (stampede === undefined && random.percent(60)) params = random.pick(targets);
      }
      const mode = random.percent(70) ? 'w' : 'r';
      checks.contradicted.delete(guest.backend);
      guest.create(params, mode);
      const life = { isOver: false };
      if (random.percent(mix.deleted)) {
        const again = random.percent(mix.anew);
        scheduler.after(random.fraction() * random.pick(mix.deletedAfter), () => {
          guest.deleteNodes();
          const remake = (): void => {
            if (!life.isOver) guest.create(params, mode);
          };
          if (again) scheduler.after(random.fraction() * random.pick([1, 50]), remake);
        });
      }
      const isHasty = random.percent(mix.hasty);
      if (isHasty) checks.contradicted.add(guest.backend);
      const adding = guest.add();
      if (isHasty) await guest.sleep(random.fraction() * random.pick([5, 20, 1000]));
      const outcome = isHasty ? undefined : await adding;
      if (outcome === 'done' && random.percent(mix.repeated)) await guest.add();
      const isKilled = outcome === 'killed' && mix.neglected > 0;
      const isNeglected = isKilled && random.percent(mix.neglected);
      if (outcome === 'done' || isNeglected) await guest.sleep(random.fraction() * 3000);
      life.isOver = true;
      const given = params;
      const inherit = (): void => {
        for (const heir of heirs.splice(0)) heir(given);
      };
      if (outcome === 'killed') inherit();
      scheduler.after(random.fraction() * random.pick([1, 20, 200]), inherit);
      const next = random.percent(60) ? params : random.pick(targets);
      if (random.percent(mix.contradicted)) await guest.remakeWhileRemoved(next, mode);
      if ((await guest.destroy()) === 'killed' && mix.undercut > 0) inherit();
      await adding;
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
  if (random.percent(mix.restarted)) scheduler.after(random.fraction() * 4000, restart);
  if (random.percent(mix.replugged))
    scheduler.after(random.fraction() * 9000, () => replug(world, checks, blkback));
  for (let times = random.percent(mix.renumbered) ? 3 : 0; times > 0; times--) {
    scheduler.after(random.fraction() * random.pick([20, 1000, 4000]), () => {
      const disk = kernel.disks.get('sda');
      if (disk !== undefined) kernel.renumber(disk);
    });
  }
  if (mix.hasPartitions) {
    for (let times = random.below(3); times > 0; times--) {
      const later = (): void => repartition(world, checks, blkback);
      scheduler.after(random.fraction() * random.pick([20, 1000, 9000]), later);
    }
  }
  await scheduler.run(() => left === 0 || checks.violations.length > 0, TURMOIL_MS);
  for (const guest of guests) guest.deleteNodes();
  daemon.stop();
  volumes.stop();
  // A daemon may have attached a vbd once more after the remove.
  const isLeft = ({ isRemoved }: Guest): boolean => !isRemoved || hasDaemon || random.percent(20);
  return guests.filter(isLeft).map(({ domid }) => domid);
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
  kernel.removeFromSysfs(disk);
  kernel.addDisk('sda', disk.devnum);
  checks.onReplaced('/dev/sda');
}
