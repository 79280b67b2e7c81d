import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { Destdir, listTree } from '../../bed/installed.js';
import { projectRoot } from '../../bed/paths.js';

const SETTINGS = '/etc/xen/xen-blkback.conf';
/** What earlier versions shipped. */
const OLD_SETTINGS = '/etc/default/xen-blkback';
const SCRIPT = '/etc/xen/scripts/block-diskseq';
const CLIENT = '/usr/libexec/xen-blkback/block-diskseq';
const LIBRARY = '/usr/lib/xen-blkback';

describe('the installer', function () {
  this.timeout(60_000);
  let destdir: Destdir;
  beforeEach(() => {
    destdir = new Destdir();
  });
  afterEach(() => destdir[Symbol.dispose]());

  const tree = (): string[] => listTree(destdir.path);

  it('puts everything in place with the modes of a package, whatever the umask', async () => {
    const mask = process.umask(0o077);
    try {
      await destdir.install();
    } finally {
      process.umask(mask);
    }
    const lines = tree();
    const modes = (pattern: RegExp): string[] => [
      ...new Set(lines.filter((line) => pattern.test(line)).map((line) => line.slice(0, 10))),
    ];
    assert.deepEqual(modes(/^d/), ['drwxr-xr-x']);
    assert.deepEqual(
      lines.filter((line) => line.startsWith('-rwx')),
      [
        '-rwxr-xr-x usr/lib/xen-blkback/dist/block-diskseq.cjs',
        '-rwxr-xr-x usr/lib/xen-blkback/dist/compile-code.cjs',
        '-rwxr-xr-x usr/lib/xen-blkback/dist/xen-blkback.cjs',
        '-rwxr-xr-x usr/libexec/xen-blkback/attached-vbds',
        '-rwxr-xr-x usr/libexec/xen-blkback/block-diskseq',
        '-rwxr-xr-x usr/libexec/xen-blkback/divert',
      ],
    );
    assert.deepEqual(modes(/^-(?!rwx)/), ['-rw-r--r--']);
    assert.deepEqual(
      lines.filter((line) => line.startsWith('l')),
      [
        'lrwxrwxrwx etc/xen/scripts/block-diskseq /usr/libexec/xen-blkback/block-diskseq',
        'lrwxrwxrwx usr/bin/xen-blkback ../lib/xen-blkback/dist/xen-blkback.cjs',
      ],
    );
  });

  it('installs only what is run: no sources, no types, no locales, no package that is bundled', async () => {
    await destdir.install();
    const names = tree().filter((line) => line.startsWith('-') && line.includes(LIBRARY.slice(1)));
    const odd = /\.ts$|\.map$|\.cc$|\.h$|\.md$|\/(test|locales|doc|vendor)\//i;
    assert.deepEqual(
      names.filter((line) => odd.test(line)),
      [],
    );
    const packages = new Set(
      names.flatMap((line) => /\/node_modules\/((?:@[^/]+\/)?[^/@ ]+)\//.exec(line)?.[1] ?? []),
    );
    assert.deepEqual(
      [...packages].filter((name) => !/^(@koromix\/)?koffi/.test(name)),
      [],
    );
    // One compiled part of ours, one of koffi's.
    assert.equal(names.filter((line) => line.endsWith('.node')).length, 2);
  });

  it('has the licence of every package of which something is shipped', async () => {
    await destdir.install();
    const text = readFileSync(destdir.at('/usr/share/doc/xen-blkback/copyright'), 'utf8');
    const { dependencies } = JSON.parse(
      readFileSync(join(projectRoot, 'package.json'), 'utf8'),
    ) as { dependencies: Record<string, string> };
    const sections = text.split(/\n(?=\S+ \d+\.\d+\.\d+\n)/).slice(1);
    for (const name of [...Object.keys(dependencies), 'node-addon-api', 'y18n', 'cliui']) {
      const section = sections.find((each) => each.startsWith(`${name} `));
      assert.match(
        section ?? '',
        /^Source: https?:.*\nLicense: (MIT|ISC)\n\n[\s\S]*copyright/im,
        name,
      );
    }
    // What esbuild marks in a bundle with the name of its file.
    const bundle = readFileSync(join(projectRoot, 'dist/code/xen-blkback.cjs'), 'utf8');
    const bundled = [...bundle.matchAll(/"node_modules\/((?:@[^/"]+\/)?[^/"]+)\//g)];
    assert.ok(bundled.length > 0);
    for (const [, name = ''] of bundled) {
      assert.ok(
        sections.some((each) => each.startsWith(`${name} `)),
        name,
      );
    }
  });

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
    // A later installation changes nothing about it.
    await destdir.install();
    assert.equal(readlinkSync(block), CLIENT);
    await destdir.uninstall();
    assert.deepEqual(tree(), before);
    await assert.rejects(destdir.install('--as', '../block'), /is no name of a hotplug script/);
  });

  it('keeps settings that an administrator has changed, also when it leaves', async () => {
    await destdir.install();
    writeFileSync(destdir.at(SETTINGS), 'timeout=20\n');
    await destdir.install();
    assert.equal(readFileSync(destdir.at(SETTINGS), 'utf8'), 'timeout=20\n');
    assert.ok(!tree().some((line) => line.endsWith('.new')), 'nothing in it is new');
    const { stdout } = await destdir.uninstall();
    assert.match(stdout, /\/etc\/xen\/xen-blkback\.conf has been changed and stays/);
    // A first installation finds settings of somebody, and offers its own beside them.
    assert.match((await destdir.install()).stdout, /\/etc\/xen\/xen-blkback\.conf\.new/);
    assert.equal(readFileSync(destdir.at(SETTINGS), 'utf8'), 'timeout=20\n');
    await destdir.install();
    assert.ok(
      tree().some((line) => line.endsWith('xen-blkback.conf.new')),
      'still offered',
    );
    await destdir.uninstall();
    assert.ok(!tree().some((line) => line.endsWith('.new')));
  });

  it('does not bring back settings that an administrator has removed', async () => {
    await destdir.install();
    rmSync(destdir.at(SETTINGS));
    await destdir.install();
    assert.ok(!tree().some((line) => line.endsWith('etc/xen/xen-blkback.conf')));
  });

  for (const [what, text, left] of [
    ['removes', '# as it was shipped\n', false],
    ['leaves, as it was changed,', 'XEN_BLKBACK_TIMEOUT=20\n', true],
  ] as const) {
    it(`${what} the settings file of an earlier version`, async () => {
      await destdir.install();
      mkdirSync(destdir.at('/etc/default'));
      writeFileSync(destdir.at(OLD_SETTINGS), text);
      const hash = createHash('sha256').update('# as it was shipped\n').digest('hex');
      const manifest = destdir.at(`${LIBRARY}/manifest`);
      const more = `directory /etc/default\nconffile ${hash} ${OLD_SETTINGS}\n`;
      writeFileSync(manifest, readFileSync(manifest, 'utf8') + more);
      const { stdout } = await destdir.install();
      assert.equal(
        tree().some((line) => line.includes('etc/default')),
        left,
      );
      assert.equal(stdout.includes(`${OLD_SETTINGS} has been changed and stays`), left);
      assert.equal(readFileSync(manifest, 'utf8').includes(OLD_SETTINGS), left);
      assert.match(
        (await destdir.uninstall()).stdout,
        left ? /has been changed and stays/ : /files/,
      );
    });
  }

  it('overwrites no file that somebody else has put there', async () => {
    mkdirSync(destdir.at('/etc/xen/scripts'), { recursive: true });
    writeFileSync(destdir.at(SCRIPT), '#!/bin/sh\n');
    const before = tree();
    await assert.rejects(
      destdir.install(),
      /etc\/xen\/scripts\/block-diskseq is there and has not been put there by this installer/,
    );
    assert.deepEqual(tree(), before);
  });

  it('replaces files whole: who has the old one open keeps it', async () => {
    await destdir.install();
    const [old, inode] = [readFileSync(destdir.at(CLIENT)), statSync(destdir.at(CLIENT)).ino];
    const running = openSync(destdir.at(CLIENT), 'r');
    try {
      await destdir.install('--node', '/opt/a-longer-name-than-usual/bin/node');
      assert.ok(readFileSync(running).equals(old));
      const { ino, mode } = statSync(destdir.at(CLIENT));
      assert.notEqual(ino, inode);
      assert.equal(mode & 0o7777, 0o755);
      assert.ok(!readFileSync(destdir.at(CLIENT)).equals(old));
    } finally {
      closeSync(running);
    }
  });

  it('removes what an older version had and this one has not', async () => {
    await destdir.install();
    const manifest = destdir.at(`${LIBRARY}/manifest`);
    mkdirSync(destdir.at(`${LIBRARY}/bygone`));
    writeFileSync(destdir.at(`${LIBRARY}/bygone/file.js`), '');
    const more = `directory ${LIBRARY}/bygone\nfile ${LIBRARY}/bygone/file.js\n`;
    writeFileSync(manifest, readFileSync(manifest, 'utf8') + more);
    await destdir.install();
    assert.deepEqual(
      tree().filter((line) => line.includes('bygone')),
      [],
    );
    assert.ok(!readFileSync(manifest, 'utf8').includes('bygone'));
  });

  it('goes on after an installation that was interrupted', async () => {
    await destdir.install();
    const whole = tree();
    // The list is written first; the rest was not.
    rmSync(destdir.at(SCRIPT));
    rmSync(destdir.at(`${LIBRARY}/dist`), { recursive: true });
    await destdir.install();
    assert.deepEqual(tree(), whole);
    await destdir.uninstall();
    assert.deepEqual(tree(), []);
  });

  it('compiles the client with the compiler and flags of a package builder', async () => {
    const compiler = destdir.at('/cc');
    const log = destdir.at('/log');
    const script = `#!/bin/sh
echo "$*" >>${log}
case " $* " in *" -static "*) exit 1 ;; esac
exec cc "$@"
`;
    writeFileSync(compiler, script, { mode: 0o755 });
    // A machine without a static libc, first.
    await destdir.installWith({ CC: compiler, CFLAGS: '-O1 -g', LDFLAGS: '' });
    const [tried, done] = readFileSync(log, 'utf8').split('\n');
    assert.match(tried ?? '', /^-O1 -g .* -static$/);
    assert.match(done ?? '', /^-O1 -g .*hotplug-client\.c$/);
    await destdir.installWith({ CC: `${compiler} -DFROM_CC`, LDFLAGS: '-Wl,-z,now' });
    assert.match(readFileSync(log, 'utf8').trimEnd(), /\n-DFROM_CC -O2 .* -Wl,-z,now$/);
    await assert.rejects(destdir.installWith({ CC: '/nonexistent/cc' }), /nonexistent\/cc/);
  });

  it('refuses a Node.js that is too old, or cannot be run', async () => {
    const node = destdir.at('/node');
    writeFileSync(node, '#!/bin/sh\necho v18.20.4\n', { mode: 0o755 });
    await assert.rejects(destdir.install('--node', node), /is Node\.js 18\.20\.4: 20\.19 or later/);
    await assert.rejects(destdir.install('--node', '/etc/hostname'), /cannot be run/);
    await assert.rejects(destdir.install('--node', 'node'), /an absolute path is needed/);
    await assert.rejects(destdir.install('--node', '/opt/my node'), /cannot be named/);
  });
});
