import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { performance } from 'node:perf_hooks';
import { pause } from '../../src/util/retry.js';
import { openXenstore } from '../../src/xenstore/open.js';
import { within } from '../bed/deadline.js';
import { descriptorsOf, resources } from './resources.js';
import { EventLog, rejectsWith } from './support.js';

/** A raw pseudo-terminal: like /dev/xen/xenbus a device, behind which nobody answers. */
const SILENT_DEVICE = `
import os, pty, sys, tty
master, slave = pty.openpty()
tty.setraw(slave)
print(os.ttyname(slave), flush=True)
sys.stdin.read()
`;

describe('libxenstore client on a device', () => {
  let device: ChildProcess;
  let path: string;
  let threads: number;

  beforeEach(async () => {
    threads = resources().threads;
    device = spawn('python3', ['-c', SILENT_DEVICE], { stdio: ['pipe', 'pipe', 'inherit'] });
    const [line] = await once(device.stdout ?? assert.fail(), 'data');
    path = String(line).trim();
    process.env.XENSTORED_PATH = path;
  });
  afterEach(() => device.kill());

  for (const watching of [false, true]) {
    const what = watching ? 'a watch' : 'a read';
    it(`leaves ${what} that cannot be interrupted alone, which ends when it is answered`, async () => {
      const store = await openXenstore();
      const request = watching ? store.watch('/x', new EventLog()) : store.read('/x');
      const ended = rejectsWith('ECLOSED', request);
      await new Promise((resolve) => setTimeout(resolve, 20));
      const start = performance.now();
      await store.close();
      assert.ok(performance.now() - start < 500);
      await ended;
      assert.ok(resources().threads > threads, 'the thread had nothing to wait for');
      const gone = once(device, 'close');
      device.kill();
      await gone;
      await leftAlone(5000);
    });
  }

  it('gives everything back where nothing was asked', async () => {
    await (await openXenstore()).close();
    await leftAlone(500);
  });

  /** Waits until no thread and no descriptor of the device is left; others of this process may come and go. */
  async function leftAlone(ms: number): Promise<void> {
    const state = () => ({ threads: resources().threads - threads, open: descriptorsOf(path) });
    const what = () => `${JSON.stringify(state())} to become nothing`;
    await within(ms, what, async (signal) => {
      while (!signal.aborted) {
        const { threads: more, open } = state();
        if (more <= 0 && open === 0) return;
        await pause(5);
      }
    });
  }
});
