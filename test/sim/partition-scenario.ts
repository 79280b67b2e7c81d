import type { Checks } from './checks.js';
import { Guest } from './guest.js';
import { partition } from './partitions.js';
import type { World } from './process.js';
import type { Waits } from './quiet.js';
import { type Outcome, runScript } from './script.js';

/**
 * Checks that two guests get the two partitions of a disk, at once or one after the other, and that
 * the disk as a whole is not given to a third one beside any of them, nor a partition beside it.
 */
export async function checkPartitions(
  world: World,
  checks: Checks,
  { settle, wait }: Waits,
): Promise<void> {
  const { random } = world.scheduler;
  partition(world.kernel);
  const { diskseq } = world.kernel.disks.get('sda') ?? {};
  const make = (domid: number, name: string, target = `/dev/${name}`) => {
    const guest = new Guest(world, checks, domid);
    return { guest, name, target };
  };
  const first = make(41, 'sda1');
  const second = make(42, 'sda2', random.pick(['/dev/sda2', `diskseq=${diskseq},partition=2`]));
  const whole = make(43, 'sda');
  const guests = [first, second, whole];
  type One = (typeof guests)[number];
  for (const { guest, target } of guests) guest.create(target, 'w');
  const add = ({ guest }: One): Promise<Outcome> =>
    runScript(world, checks, 'add', guest.backend, { timeoutMs: 4000 }).ended;
  const expect = (one: One, wanted: Outcome, outcome: Outcome | undefined): void => {
    if (outcome !== wanted) checks.violate(`an add of ${one.name}, ${wanted} if right: ${outcome}`);
  };
  const take = async ({ guest }: One): Promise<void> => {
    guest.deleteNodes();
    await wait(guest.remove(0));
  };
  const adding = add(first);
  if (random.percent(50)) await wait(adding);
  expect(second, 'done', await wait(add(second)));
  expect(first, 'done', await wait(adding));
  expect(whole, 'failed', await wait(add(whole)));
  await take(random.pick([first, second]));
  expect(whole, 'failed', await wait(add(whole)));
  await take(first);
  await take(second);
  expect(whole, 'done', await wait(add(whole)));
  first.guest.create(first.target, 'w');
  expect(first, 'failed', await wait(add(first)));
  for (const one of guests) one.guest.deleteNodes();
  await settle();
  for (const one of guests) await take(one);
  checks.checkQuiet([...world.processes].map(({ name }) => name));
}
