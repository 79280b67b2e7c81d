import type { Checks } from './checks.js';
import { Guest } from './guest.js';
import { HEALTHY } from './mix.js';
import type { World } from './process.js';
import type { Waits } from './quiet.js';
import type { Quotas } from './quotas.js';
import { runScript } from './script.js';

/**
 * Checks that an add says so if a quota keeps it from attaching, and leaves nothing; that a guest
 * whose disk is attached can go although the quota of nodes is used up; and that the same add
 * succeeds later.
 */
export async function checkQuotas(
  world: World,
  checks: Checks,
  quotas: Quotas,
  { settle, wait }: Waits,
): Promise<void> {
  const guest = new Guest(world, checks, 31);
  const run = async (action: 'add' | 'remove'): Promise<string | undefined> => {
    const script = runScript(world, checks, action, guest.backend, { timeoutMs: 4000 });
    const outcome = await wait(script.ended);
    return outcome === 'done' ? 'done' : script.why();
  };
  const checkNothingLeft = (): void =>
    checks.checkQuiet([...world.processes].map(({ name }) => name));
  const quota = world.scheduler.random.pick(['nodes', 'transactions'] as const);
  guest.create(HEALTHY, 'w');
  quotas.fix(quota);
  const refused = await run('add');
  if (!/quota/.test(refused ?? '')) checks.violate(`an add without quota of ${quota}: ${refused}`);
  guest.deleteNodes();
  await settle();
  checkNothingLeft();
  quotas.fix();
  guest.create(HEALTHY, 'w');
  const added = await run('add');
  if (added !== 'done') checks.violate(`an add after one that a quota has refused: ${added}`);
  quotas.fix('nodes');
  guest.deleteNodes();
  const removed = await run('remove');
  if (removed !== 'done') checks.violate(`a remove without quota of nodes: ${removed}`);
  await settle();
  quotas.fix();
  checkNothingLeft();
}
