import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pause } from '../../../src/util/retry.js';
import { type Bed, startBed } from '../../bed/bed.js';
import { runClient, startDaemonProgram } from '../../bed/daemon.js';
import { within } from '../../bed/deadline.js';
import { needs } from '../../bed/needs.js';
import { processState } from '../../bed/process-state.js';
import { CLI } from '../../bed/script.js';
import { openStore } from '../../bed/store.js';
import { HotplugFixture } from '../hotplug/fixture.js';

/** The time in milliseconds for which the daemon must do nothing. */
const IDLE_MS = Number(process.env.XEN_BLKBACK_IDLE_S ?? 4) * 1000;

describe('the daemon at rest', function () {
  this.timeout(60_000 + IDLE_MS);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored', 'strace');
  });

  it('makes no system call, and then does its work', async () => {
    await using bed = await startBed({});
    await using store = await openStore(bed);
    const fixture = new HotplugFixture(bed, store);
    // The deadline is short, because Node forgets a cancelled timer only at the time for which it
    // was set.
    const args = [CLI, 'daemon'];
    await using daemon = await startDaemonProgram(bed, process.execPath, args, {
      XEN_BLKBACK_TIMEOUT: '3',
    });
    await comesToRest(daemon.child.pid);
    await using trace = await startTrace(bed, daemon.child.pid);
    await pause(IDLE_MS);
    assert.deepEqual(trace.calls(), []);
    const vbd = await fixture.vbd(fixture.image());
    const env = { ...daemon.env, PATH: '/nonexistent' };
    assert.equal((await runClient(env, vbd, 'add')).status, 0);
    assert.ok(trace.calls().length > 100, 'what it does is not seen');
  });
});

/**
 * Waits until the daemon is at rest. V8 tidies up for some eight seconds
 * (src/heap/memory-reducer.h).
 */
async function comesToRest(pid: number): Promise<void> {
  await within(30_000, 'the daemon to come to rest', async (signal) => {
    await pause(9000, signal);
    for (let before = -1, now = 0; before !== now; ) {
      before = processState(pid).sleeps;
      await pause(1500, signal);
      now = processState(pid).sleeps;
    }
  });
}

async function startTrace(
  bed: Bed,
  pid: number,
): Promise<AsyncDisposable & { calls(): readonly string[] }> {
  const file = join(bed.directory, 'strace');
  const strace = spawn('strace', ['-f', '-o', file, '-p', String(pid)], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let text = '';
  strace.stderr.setEncoding('utf8').on('data', (more: string) => {
    text += more;
  });
  const { threads } = processState(pid);
  await within(
    5000,
    () => `strace to attach to ${threads} threads; it said ${text}`,
    async (signal) => {
      while ((/(\d+) threads/.exec(text)?.[1] ?? '0') !== String(threads)) {
        await once(strace.stderr, 'data', { signal });
      }
    },
  );
  // strace first shows the calls in which the threads were waiting when it attached.
  await pause(100);
  const found = readFileSync(file, 'utf8').length;
  return {
    calls: () =>
      readFileSync(file, 'utf8')
        .slice(found)
        .split('\n')
        .filter((line) => line !== ''),
    async [Symbol.asyncDispose]() {
      const ended = once(strace, 'exit');
      strace.kill('SIGINT');
      await ended;
    },
  };
}
