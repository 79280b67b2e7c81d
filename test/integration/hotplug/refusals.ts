import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { failure, only } from '../../bed/assertions.js';
import type { Loop } from '../../bed/images.js';
import type { Vbd } from '../../bed/toolstack.js';
import type { HotplugFixture } from './fixture.js';

export const TIMEOUT_MS = 4000;
/** For those that only the deadline ends. */
export const SHORT_MS = 600;

/** The library refuses: typed, told to the toolstack, quickly, and blkback saw nothing of it. */
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

/** The script refuses: exit status, one line on stderr and in the log, and the nodes. */
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

/** It fails with EPUBLISHED, and whatever stood there stands there still. */
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

export function reported(fixture: HotplugFixture, vbd: Vbd): Promise<(string | undefined)[]> {
  return fixture.nodes(vbd, 'hotplug-status', 'hotplug-error');
}

/** The lines of the project's log, without time and process. */
export function logLines(fixture: HotplugFixture): string[] {
  const { logFile } = fixture.bed;
  if (!existsSync(logFile)) return [];
  const lines = readFileSync(logFile, 'utf8').trimEnd().split('\n');
  return lines.map((line) => line.replace(/^\S+T\S+Z xen-blkback\[\d+\]: /, ''));
}

export function onlyLine(fixture: HotplugFixture): string {
  return only(logLines(fixture));
}

/** The nodes that this program would have written for it. */
export function published(loop: Loop): Record<string, string> {
  return {
    'physical-device': loop.devnum,
    'physical-device-path': loop.path,
    diskseq: BigInt(loop.diskseq).toString(16),
  };
}

/** Lets a held blkback have a try at the device that was taken back, and waits for its end. */
export async function release(fixture: HotplugFixture, vbd: Vbd): Promise<void> {
  fixture.blkback.kill('SIGUSR1');
  await fixture.blkback.waitFor(
    ({ vbd: key, event }) => key === vbd.key && ['opened', 'refused', 'failed'].includes(event),
  );
}

export function assertSpent(start: number): void {
  const spent = performance.now() - start;
  assert.ok(spent < SHORT_MS + 300, `${spent} ms`);
}
