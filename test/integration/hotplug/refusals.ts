import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { failure, only } from '../../bed/assertions.js';
import type { Loop } from '../../bed/images.js';
import type { Vbd } from '../../bed/toolstack.js';
import type { HotplugFixture } from './fixture.js';

/** The time limit of an attach that is refused; milliseconds. */
export const TIMEOUT_MS = 4000;
/** The time limit of an attach that only its deadline ends; milliseconds. */
export const SHORT_MS = 600;

/**
 * Asserts that the library refuses an attach: with this code, quickly, and with a report to the
 * toolstack. blkback must have seen nothing of it.
 */
export async function refused(
  fixture: HotplugFixture,
  vbd: Vbd,
  code: string,
  says: RegExp,
  own?: Loop,
  onStep?: (step: string) => void,
): Promise<Error> {
  const start = performance.now();
  const error = await failure(code, fixture.attach(vbd, { timeoutMs: TIMEOUT_MS, onStep }));
  const spent = performance.now() - start;
  assert.match(error.message, says);
  assert.ok(spent < TIMEOUT_MS / 2, `${spent} ms`);
  const [status, told] = await reported(fixture, vbd);
  assert.equal(status, 'error');
  if (error.message.length < 1000) assert.equal(told, error.message);
  assert.match(told ?? '', says, 'hotplug-error lacks what is wrong');
  assert.deepEqual(fixture.events(vbd, 'physical-device', 'opened', 'failed'), []);
  assert.equal(await fixture.node(vbd, 'physical-device'), undefined);
  fixture.assertNothingLeft(...(own ? [own] : []));
  return error;
}

/**
 * Asserts that the script refuses an attach: its exit status, one line on stderr and in the log,
 * and the nodes.
 */
export async function refusedByScript(
  fixture: HotplugFixture,
  vbd: Vbd,
  says: RegExp,
  env: NodeJS.ProcessEnv = {},
): Promise<{ milliseconds: number }> {
  const { status, stdout, stderr, milliseconds } = await fixture.script(vbd, 'add', env);
  assert.deepEqual([status, stdout], [1, '']);
  assert.match(stderr, /^xen-blkback: [^\n]+\n$/);
  assert.match(stderr, says);
  assert.doesNotMatch(stderr.trimEnd(), /\p{Cc}/u);
  const sentence = stderr.trimEnd().replace('xen-blkback: ', '');
  assert.equal(onlyLine(fixture), sentence);
  const [hotplugStatus, told = ''] = await reported(fixture, vbd);
  assert.equal(hotplugStatus, 'error');
  assert.match(told, says);
  if (told.length < 1000) assert.ok(sentence.endsWith(told), `${sentence} / ${told}`);
  assert.equal(await fixture.node(vbd, 'physical-device'), undefined);
  fixture.assertNothingLeft();
  return { milliseconds };
}

/** Asserts that an attach fails with EPUBLISHED, and that the nodes still have their values. */
export async function untouched(fixture: HotplugFixture, vbd: Vbd, says: RegExp): Promise<void> {
  const ours = ['physical-device', 'physical-device-path', 'diskseq'];
  const before = await fixture.nodes(vbd, ...ours);
  const loops = fixture.loops();
  const error = await failure('EPUBLISHED', fixture.attach(vbd));
  assert.match(error.message, says);
  assert.deepEqual(await fixture.nodes(vbd, ...ours), before);
  assert.deepEqual(await reported(fixture, vbd), ['error', error.message]);
  assert.deepEqual([fixture.loops(), fixture.records()], [loops, []]);
}

/** Returns the status and the error that the toolstack reads. */
export function reported(fixture: HotplugFixture, vbd: Vbd): Promise<(string | undefined)[]> {
  return fixture.nodes(vbd, 'hotplug-status', 'hotplug-error');
}

/** Returns the lines of the project's log, without their time and process. */
export function logLines(fixture: HotplugFixture): string[] {
  const { logFile } = fixture.bed;
  if (!existsSync(logFile)) return [];
  const lines = readFileSync(logFile, 'utf8').trimEnd().split('\n');
  return lines.map((line) => line.replace(/^\S+T\S+Z xen-blkback\[\d+\]: /, ''));
}

/** Returns the only line of the log. */
export function onlyLine(fixture: HotplugFixture): string {
  return only(logLines(fixture));
}

/** Returns the nodes that this program would have written for a loop device. */
export function published(loop: Loop): Record<string, string> {
  return {
    'physical-device': loop.devnum,
    'physical-device-path': loop.path,
    diskseq: BigInt(loop.diskseq).toString(16),
  };
}

/**
 * Lets a held blkback try to open the device that was taken back, and waits for the end of its try.
 */
export async function release(fixture: HotplugFixture, vbd: Vbd): Promise<void> {
  fixture.blkback.kill('SIGUSR1');
  await fixture.blkback.waitFor(
    ({ vbd: key, event }) => key === vbd.key && ['opened', 'refused', 'failed'].includes(event),
  );
}

/** Asserts that no more than `SHORT_MS` and 300 ms have passed since `start`. */
export function assertSpent(start: number): void {
  const spent = performance.now() - start;
  assert.ok(spent < SHORT_MS + 300, `${spent} ms`);
}
