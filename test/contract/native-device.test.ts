import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { openXenstore } from '../../src/xenstore/open.js';
import { descriptorsOf } from './resources.js';
import { EventLog, rejectsWith } from './support.js';

/**
 * A program that opens a raw pseudo-terminal. Like /dev/xen/xenbus this is a device, but nobody
 * answers.
 */
const SILENT_DEVICE = `
import os, pty, sys, tty
master, slave = pty.openpty()
tty.setraw(slave)
print(os.ttyname(slave), flush=True)
os.close(slave)
sys.stdin.read()
`;

describe('XenStore client on a device', () => {
  let device: ChildProcess;
  let path: string;

  beforeEach(async () => {
    device = spawn('python3', ['-c', SILENT_DEVICE], { stdio: ['pipe', 'pipe', 'inherit'] });
    const [line] = await once(device.stdout ?? assert.fail(), 'data');
    path = String(line).trim();
    process.env.XENSTORED_PATH = path;
  });
  afterEach(() => device.kill());

  for (const watching of [false, true]) {
    it(`gives it back at once in the middle of ${watching ? 'a watch' : 'a read'}`, async () => {
      const store = await openXenstore();
      const request = watching ? store.watch('/x', new EventLog()) : store.read('/x');
      const ended = rejectsWith('ECLOSED', request);
      await new Promise((resolve) => setTimeout(resolve, 20));
      assert.equal(descriptorsOf(path), 1);
      await store.close();
      assert.equal(descriptorsOf(path), 0);
      await ended;
    });
  }

  it('gives it back where nothing was asked', async () => {
    await (await openXenstore()).close();
    assert.equal(descriptorsOf(path), 0);
  });

  it('rejects what is not answered in time, and what is asked later', async () => {
    await using store = await openXenstore({ requestTimeoutMs: 50 });
    await rejectsWith('ETIMEDOUT', store.read('/x'));
    await rejectsWith('ETIMEDOUT', store.read('/x'));
  });

  it('is lost when the device goes away', async () => {
    const store = await openXenstore();
    const read = store.read('/x');
    device.kill();
    const error = await rejectsWith('ECONNRESET', read);
    assert.match(error.message, /the connection to xenstored was lost: /);
    assert.equal(descriptorsOf(path), 0);
    await store.close();
  });
});
