import assert from 'node:assert/strict';
import { errorCode } from '../../../src/errors.js';
import { pause } from '../../../src/util/retry.js';
import { failure } from '../../bed/assertions.js';
import type { Run } from '../../bed/script.js';
import { deleteVbd, type Vbd } from '../../bed/toolstack.js';
import type { HotplugFixture, VbdChange } from '../hotplug/fixture.js';
import type { Ground } from './ground.js';

/** The domain of the other guest. */
export const SECOND = 9;
/**
 * The time limit of an add that is to be refused; it is longer than every wait before the refusal.
 */
const PATIENCE_MS = 4000;

/** Creates a vbd of another guest over the same bytes. */
export function secondVbd(
  fixture: HotplugFixture,
  { path }: Pick<Ground, 'path'>,
  change: VbdChange = {},
): Promise<Vbd> {
  return fixture.vbd(path, { frontend: SECOND, ...change });
}

/**
 * Asserts that another guest's add of the same bytes is refused, and that blkback never hears of
 * it.
 */
export async function assertBusy(
  fixture: HotplugFixture,
  ground: Pick<Ground, 'path'>,
  change: VbdChange = {},
): Promise<Error> {
  const vbd = await secondVbd(fixture, ground, change);
  const error = await failure('EBUSY', fixture.attach(vbd, { timeoutMs: PATIENCE_MS }));
  assert.equal(await fixture.node(vbd, 'hotplug-status'), 'busy');
  assert.equal(await fixture.node(vbd, 'physical-device'), undefined);
  assert.deepEqual(fixture.events(vbd, 'physical-device', 'opened'), []);
  await deleteVbd(fixture.store, vbd);
  return error;
}

/**
 * Asserts about an add that begins while blkback still holds the bytes, until `release`: the add
 * waits until blkback lets them go, or it is refused and succeeds when it is tried again.
 */
export async function assertWaitsFor(
  fixture: HotplugFixture,
  vbd: Vbd,
  holder: Vbd,
  release: () => Promise<void>,
): Promise<void> {
  const adding = fixture.attach(vbd).then(
    () => 'added',
    (error: unknown) => errorCode(error),
  );
  await Promise.race([adding, pause(200)]);
  const atOnce = fixture.events(vbd, 'opened').length - (vbd.key === holder.key ? 1 : 0);
  assert.equal(atOnce, 0, 'it has got them while blkback held them for another');
  await release();
  await fixture.logged(holder, 'closed');
  const outcome = await adding;
  if (outcome !== 'added') {
    assert.equal(outcome, 'EBUSY');
    await fixture.attach(vbd);
  }
  assert.equal(await fixture.node(vbd, 'hotplug-status'), 'connected');
}

/**
 * Runs `remove` with more time than it needs and less time than a test has, and asserts that it
 * succeeds.
 */
export async function assertRemoved(fixture: HotplugFixture, vbd: Vbd): Promise<Run> {
  const run = await fixture.script(vbd, 'remove', { XEN_BLKBACK_TIMEOUT: '16' });
  assert.deepEqual([run.status, run.stderr], [0, '']);
  return run;
}

/**
 * Asserts about an add that failed after blkback had opened the device: the nodes still name the
 * device, and the status is an error.
 */
export async function assertTruthStays(fixture: HotplugFixture, vbd: Vbd): Promise<void> {
  const { dev, diskseq = '' } = await fixture.logged(vbd, 'opened');
  assert.deepEqual(await fixture.nodes(vbd, 'physical-device', 'diskseq', 'hotplug-status'), [
    dev,
    BigInt(diskseq).toString(16),
    'error',
  ]);
}
