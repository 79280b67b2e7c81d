import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { syslog, syslogLine } from '../../../src/linux/syslog.js';
import { skipByName } from '../../bed/skip.js';

describe('syslog', () => {
  it('writes priority, local time, name and process before the text, as syslog(3) does', () => {
    assert.equal(
      syslogLine(3, 'a text', new Date(2026, 10, 6, 7, 8, 9)),
      `<27>Nov  6 07:08:09 xen-blkback[${process.pid}]: a text`,
    );
  });

  it('does not wait for a daemon that does not read', function () {
    if (process.getuid?.() !== 0 || existsSync('/dev/log')) {
      skipByName(this, 'not root, or a syslog daemon runs here');
    }
    // The socket is bound and never read, so its queue is full after a few lines.
    const script = `
      import { spawn } from 'node:child_process';
      const code = "import socket; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind('/dev/log'); print('ready', flush=True); input()";
      const reader = spawn('python3', ['-c', code], { stdio: ['pipe', 'pipe', 'inherit'] });
      reader.stdout.once('data', async () => {
        const { syslog } = await import(${JSON.stringify(import.meta.resolve('../../../src/linux/syslog.js'))});
        for (let i = 0; i < 10000; i++) syslog(3, 'x'.repeat(500));
        reader.kill('SIGKILL');
        reader.once('exit', () => process.exit(7));
      });`;
    try {
      const { status, stderr } = spawnSync(
        process.execPath,
        ['--input-type=module', '-e', script],
        { timeout: 10_000, encoding: 'utf8' },
      );
      assert.equal(status, 7, stderr);
    } finally {
      rmSync('/dev/log', { force: true });
    }
  });

  it('drops the line where there is no daemon', () => {
    assert.doesNotThrow(() => syslog(3, 'nobody hears this'));
  });
});
