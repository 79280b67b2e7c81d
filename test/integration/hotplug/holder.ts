import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';

/** Asserts that no more than the time limit and 400 ms have passed since `start`. */
export function assertWithin(start: number, timeoutMs: number): void {
  const spent = performance.now() - start;
  assert.ok(spent < timeoutMs + 400, `${spent} ms of ${timeoutMs}`);
}

/** A process that has a device open. It ends when it is disposed. */
export interface Holder extends AsyncDisposable {
  readonly pid: number;
  end(): Promise<void>;
}

/** Starts a process that has a device open and does nothing with it. */
export async function hold(device: string): Promise<Holder> {
  const fd = openSync(device, 'r');
  let child: ChildProcess;
  try {
    child = spawn('sleep', ['60'], { stdio: [fd, 'ignore', 'inherit'] });
    await once(child, 'spawn');
  } finally {
    closeSync(fd);
  }
  const ended = once(child, 'exit');
  const end = async () => {
    child.kill('SIGKILL');
    await ended;
  };
  return { pid: child.pid ?? -1, end, [Symbol.asyncDispose]: end };
}
