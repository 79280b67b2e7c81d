import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readlinkSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { skipByName } from '../bed/skip.js';
import { Cpio } from './cpio.js';
import { partsOf } from './image.js';

describe('an archive for the kernel', () => {
  it('has directories before what lies in them, once each', () => {
    const archive = new Cpio();
    archive.file('/usr/bin/a', Buffer.from('one'), 0o755);
    archive.symlink('/usr/bin/b', 'a');
    const text = archive.bytes().toString('latin1');
    const names = [...text.matchAll(/070701[0-9a-f]{104}([^\0]+)\0/g)].map((match) => match[1]);
    assert.deepEqual(names, ['usr', 'usr/bin', 'usr/bin/a', 'usr/bin/b', 'TRAILER!!!']);
    assert.equal(archive.bytes().length % 4, 0);
  });

  it('is unpacked by somebody else as it was meant', function () {
    const busybox = join(partsOf('trixie'), 'root/usr/bin/busybox');
    if (!existsSync(busybox)) {
      skipByName(this, 'test/xen/setup has not been run');
    }
    const archive = new Cpio();
    archive.file('/d/file', Buffer.from('content'), 0o750);
    archive.symlink('/d/link', 'file');
    const directory = mkdtempSync(join(tmpdir(), 'cpio-'));
    try {
      execFileSync(busybox, ['cpio', '-idm'], {
        cwd: directory,
        input: archive.bytes(),
        stdio: ['pipe', 'ignore', 'ignore'],
      });
      assert.equal(readFileSync(join(directory, 'd/file'), 'utf8'), 'content');
      assert.equal(statSync(join(directory, 'd/file')).mode & 0o777, 0o750);
      assert.equal(readlinkSync(join(directory, 'd/link')), 'file');
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
