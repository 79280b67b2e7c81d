import { setTimeout as sleep } from 'node:timers/promises';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import koffi from 'koffi';
import { loadAddon } from '../../src/linux/addon.js';
import { blockingCall } from '../../src/linux/blocking-call.js';

// Lives of calls that block, run by blocking-sanitizer.test.ts in a process of its own, and in workers.

function nap(ms: number, signal?: AbortSignal): Promise<number> {
  const time = Buffer.alloc(16);
  time.writeBigInt64LE(BigInt(Math.floor(ms / 1000)), 0);
  time.writeBigInt64LE(BigInt((ms % 1000) * 1e6), 8);
  return blockingCall({
    call: 'nanosleep',
    args: [time, 0],
    uses: [],
    object: 'a while',
    place: () => undefined,
    signal,
  });
}

function stat(path: string): Promise<number> {
  const args = [-100, path, 0, 0x7ff, Buffer.alloc(256)] as const;
  return blockingCall({ call: 'statx', args, uses: [], object: path, place: () => undefined });
}

function open(path: string, signal: AbortSignal): Promise<number> {
  return blockingCall({
    call: 'openat',
    args: [-100, path, 0o2000000, 0],
    uses: [],
    object: path,
    place: () => undefined,
    signal,
    onAbandonedSuccess: (fd) =>
      void blockingCall({
        ...{ call: 'close', args: [fd], uses: [], object: path, place: () => undefined },
      }),
  });
}

const LIVES: readonly (() => Promise<unknown>)[] = [
  () =>
    Promise.all(
      Array.from({ length: 500 }, (_, i) => stat(i % 2 ? '/proc' : `/no/${i}`).catch(() => 0)),
    ),
  // Given up, and back while this still runs.
  async () => {
    const signal = AbortSignal.timeout(20);
    await Promise.allSettled(Array.from({ length: 50 }, () => nap(60, signal)));
    await sleep(150);
  },
  // Given up at once, whatever they have come to by then.
  async () => {
    for (let i = 0; i < 200; i++) {
      const controller = new AbortController();
      const opening = open('/proc/self/status', controller.signal);
      if (i % 3 > 0) await new Promise(setImmediate);
      controller.abort();
      const fd = await opening.catch(() => -1);
      if (fd >= 0) {
        const args = [fd] as const;
        await blockingCall({ call: 'close', args, uses: [], object: 'x', place: () => undefined });
      }
    }
    await sleep(50);
  },
  // The memory of an argument is taken away meanwhile.
  async () => {
    const bytes = new Uint8Array(256);
    const done = new Promise((resolve) => {
      const calls = loadAddon().openBlockingCalls(resolve);
      calls.start(loadAddon().syscalls.statx, [-100, '/proc', 0, 0x7ff, bytes], false);
    });
    structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
    await done;
  },
  // What is no call.
  async () => {
    const calls = loadAddon().openBlockingCalls(() => undefined);
    try {
      calls.start(loadAddon().syscalls.close, [0, 0, 0, 0, 0, 0, 0], false);
    } catch {
      // Seven arguments.
    }
    calls.abandon(12345);
  },
  () => runWorker('busy', true),
  () => runWorker('given-up', false),
  () => runWorker('exit', false),
  // The threads of workers that have gone come back now.
  () => sleep(600),
];

async function runWorker(life: string, terminate: boolean): Promise<void> {
  const worker = new Worker(new URL(import.meta.url), { workerData: life });
  const ended = new Promise((resolve) => worker.once('exit', resolve));
  await new Promise((resolve) => worker.once('message', resolve));
  if (terminate) await worker.terminate();
  await ended;
}

async function live(life: unknown): Promise<void> {
  const signal = AbortSignal.timeout(50);
  const naps = Array.from({ length: 20 }, (_, i) => nap(100 + 20 * i, signal));
  const opens = Array.from({ length: 20 }, () => open('/proc/self/status', signal));
  void Promise.allSettled(opens);
  parentPort?.postMessage('now');
  if (life === 'given-up') await Promise.allSettled(naps);
  if (life === 'exit') process.exit();
  if (life === 'busy') for (;;) await stat('/proc');
}

if (isMainThread) {
  for (const one of LIVES) await one();
  // A call that never comes back is no leak either.
  await nap(1_000_000, AbortSignal.timeout(20)).catch(() => 0);
  // Node ends without the check that the sanitizer would make at a program's end.
  koffi.load(null).func('int __lsan_do_recoverable_leak_check()')();
  console.log(`exercised ${LIVES.length} lives`);
} else {
  await live(workerData);
}
