import type { Checks } from './checks.js';
import { Guest } from './guest.js';
import { HEALTHY } from './mix.js';
import type { World } from './process.js';
import type { Waits } from './quiet.js';
import { type Outcome, runScript } from './script.js';

/**
 * Checks that two domains of one virtual machine get the same disk, and that another domain gets it
 * only when both have gone.
 */
export async function checkKin(
  world: World,
  checks: Checks,
  { settle, wait }: Waits,
): Promise<void> {
  const { random } = world.scheduler;
  const target = random.pick([HEALTHY, '/dev/sda']);
  const guests = [21, 22, 23].map((domid) => new Guest(world, checks, domid));
  const [first, second, stranger] = guests;
  if (first === undefined || second === undefined || stranger === undefined) return;
  for (const guest of guests) guest.create(target, 'w');
  const add = (guest: Guest): Promise<Outcome> =>
    runScript(world, checks, 'add', guest.backend, { timeoutMs: 4000 }).ended;
  const expect = (guest: Guest, wanted: Outcome, outcome: Outcome | undefined): void => {
    if (outcome === wanted) return;
    checks.violate(`an add of ${guest.backend}, one of two domains and a stranger, ${outcome}`);
  };
  const [one, other] = random.shuffle([first, second]) as [Guest, Guest];
  const adding = add(one);
  if (random.percent(50)) await wait(adding);
  expect(other, 'done', await wait(add(other)));
  expect(one, 'done', await wait(adding));
  expect(stranger, 'failed', await wait(add(stranger)));
  other.deleteNodes();
  expect(stranger, 'failed', await wait(add(stranger)));
  await wait(other.remove(0));
  expect(stranger, 'failed', await wait(add(stranger)));
  one.deleteNodes();
  await wait(one.remove(0));
  expect(stranger, 'done', await wait(add(stranger)));
  stranger.deleteNodes();
  await settle();
  for (const guest of guests) await wait(guest.remove(0));
  checks.checkQuiet([...world.processes].map(({ name }) => name));
}
