import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { within } from '../../bed/deadline.js';
import { HOTPLUG_SCRIPT, startProgram } from '../../bed/script.js';
import { skipByName } from '../../bed/skip.js';

/** A listener in Python, because Node has no Unix datagram sockets. */
const LISTENER = `
import os, socket, sys
log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
log.bind('/dev/log')
print('ready', flush=True)
try:
    print(log.recv(4096).decode(), flush=True)
finally:
    os.unlink('/dev/log')
`;

describe('a failure in syslog', function () {
  this.timeout(15_000);

  it('is one line of facility daemon, by xen-blkback', async function () {
    if (process.getuid?.() !== 0 || existsSync('/dev/log')) {
      skipByName(this, 'not root, or a syslog daemon runs here');
    }
    const listener = spawn('python3', ['-c', LISTENER], { stdio: ['ignore', 'pipe', 'inherit'] });
    const closed = once(listener, 'close');
    const lines = createInterface({ input: listener.stdout })[Symbol.asyncIterator]();
    const next = () => within(5000, 'the listener at /dev/log', () => lines.next());
    assert.equal((await next()).value, 'ready');
    const { stderr } = await startProgram(HOTPLUG_SCRIPT, ['add'], {}).ended;
    const [, priority, text] =
      /^<(\d+)>.*xen-blkback\[\d+\]: (.*)$/.exec((await next()).value) ?? [];
    // The priority is LOG_DAEMON | LOG_ERR.
    assert.equal(Number(priority), (3 << 3) | 3);
    assert.equal(`xen-blkback: ${text}\n`, stderr);
    await closed;
  });
});
