import assert from 'node:assert/strict';
import {
  chmodSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { CLIENT, Destdir, LIBRARY, listTree, SCRIPT } from '../../bed/installed.js';

describe('the installer', function () {
  this.timeout(60_000);
  let destdir: Destdir;
  beforeEach(() => {
    destdir = new Destdir();
  });
  afterEach(() => destdir[Symbol.dispose]());

  const tree = (): string[] => listTree(destdir.path);

  it('takes exactly that away again', async () => {
    mkdirSync(destdir.at('/usr/bin'), { recursive: true });
    chmodSync(destdir.at('/usr/bin'), 0o711);
    writeFileSync(destdir.at('/usr/bin/other'), '');
    const before = tree();
    await destdir.install();
    await destdir.install();
    await destdir.uninstall();
    assert.deepEqual(tree(), before);
    await assert.rejects(destdir.uninstall(), /nothing is installed below/);
  });

  it('does not leave while its units are enabled', async () => {
    await destdir.install();
    const wants = destdir.at('/etc/systemd/system/sockets.target.wants');
    mkdirSync(wants, { recursive: true });
    symlinkSync('/usr/lib/systemd/system/xen-blkback.socket', join(wants, 'xen-blkback.socket'));
    const before = tree();
    await assert.rejects(destdir.uninstall(), /systemctl disable --now xen-blkback\.socket first/);
    assert.deepEqual(tree(), before);
  });

  it('leaves what others have put into its directories', async () => {
    await destdir.install();
    writeFileSync(destdir.at(`${LIBRARY}/note`), 'mine');
    const { stdout } = await destdir.uninstall();
    assert.match(stdout, /\/usr\/lib\/xen-blkback stays/);
    assert.deepEqual(
      tree().filter((line) => line.startsWith('-')),
      ['-rw-r--r-- usr/lib/xen-blkback/note'],
    );
  });

  it('leaves what a package manager has become the owner of, and says how to remove that', async () => {
    await destdir.install();
    const info = destdir.at('/var/lib/dpkg/info');
    mkdirSync(info, { recursive: true });
    writeFileSync(join(info, 'other.list'), '/.\n/usr\n/usr/lib\n/usr/lib/xen-blkback-other/a\n');
    writeFileSync(join(info, 'xen-blkback.list'), `/.\n${CLIENT}\n`);
    const before = tree();
    const said = /belongs to the Debian package xen-blkback: .*apt remove xen-blkback/;
    await assert.rejects(destdir.uninstall(), said);
    await assert.rejects(destdir.install(), said);
    assert.deepEqual(tree(), before);
    rmSync(join(info, 'xen-blkback.list'));
    await destdir.uninstall();
  });

  it('leaves a file that has been replaced since, and removes the others', async () => {
    await destdir.install();
    rmSync(destdir.at('/usr/bin/xen-blkback'));
    writeFileSync(destdir.at('/usr/bin/xen-blkback'), 'a wrapper');
    const { stdout } = await destdir.uninstall();
    assert.match(stdout, /^\/usr\/bin\/xen-blkback has been changed and stays$/m);
    assert.deepEqual(
      tree().filter((line) => !line.startsWith('d')),
      ['-rw-r--r-- usr/bin/xen-blkback'],
    );
  });

  it('does not leave while a guest has a disk whose script it is, unless it is forced', async () => {
    await destdir.install();
    const vbd = destdir.at('/sys/bus/xen-backend/devices/vbd-7-51712');
    mkdirSync(vbd, { recursive: true });
    const env = { XEN_BLKBACK_SYSFS: destdir.at('/sys'), XENSTORED_PATH: '/nonexistent' };
    writeFileSync(join(vbd, 'physical_device'), '7:0\n');
    const before = tree();
    await assert.rejects(destdir.uninstallWith(env), /guests have disks .*: 7\/51712\. Detach/);
    assert.deepEqual(tree(), before);
    await destdir.uninstallWith(env, '--force');
    assert.ok(!tree().some((line) => line.includes('xen-blkback')));
  });

  it('takes the place of other scripts, and gives it back', async () => {
    mkdirSync(destdir.at('/etc/xen/scripts'), { recursive: true });
    const block = destdir.at('/etc/xen/scripts/block');
    writeFileSync(block, '#!/bin/sh\n# of Xen\n', { mode: 0o755 });
    const before = tree();
    await destdir.install('--as', 'block-diskseq,block,qubes-block');
    for (const name of ['block', 'qubes-block']) {
      assert.equal(readlinkSync(destdir.at(`/etc/xen/scripts/${name}`)), CLIENT);
    }
    assert.match(readFileSync(`${block}.distrib`, 'utf8'), /of Xen/);
    assert.equal(readlinkSync(destdir.at(SCRIPT)), CLIENT);
    // A later installation keeps the scripts that this one has replaced.
    await destdir.install();
    assert.equal(readlinkSync(block), CLIENT);
    await destdir.uninstall();
    assert.deepEqual(tree(), before);
  });

  it('refuses what is no name of a script, or cannot be replaced, before it does anything', async () => {
    mkdirSync(destdir.at('/etc/xen/scripts/directory'), { recursive: true });
    for (const name of ['old', 'old.distrib']) {
      writeFileSync(destdir.at(`/etc/xen/scripts/${name}`), '');
    }
    const before = tree();
    for (const [names, says] of [
      ['../block', /^install: xen-blkback divert: '\.\.\/block' is no name of a hotplug script: /],
      ['block,', /^install: xen-blkback divert: '' is no name of a hotplug script: /],
      [
        'block,directory',
        /^install: xen-blkback divert: \/etc\/xen\/scripts\/directory is a directory$/m,
      ],
      [
        'block,old',
        /^install: xen-blkback divert: \/etc\/xen\/scripts\/old\.distrib is there already: /,
      ],
    ] as const) {
      const error = await destdir.install('--as', names).then(
        () => undefined,
        (reason: unknown) => reason,
      );
      assert.ok(error instanceof Error && 'stderr' in error, names);
      assert.match(String(error.stderr), says);
      assert.deepEqual(tree(), before);
    }
  });
});
