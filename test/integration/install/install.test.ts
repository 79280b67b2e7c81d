import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Destdir, LIBRARY, listTree, SCRIPT } from '../../bed/installed.js';
import { projectRoot } from '../../bed/paths.js';

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
    // One compiled file is the project's addon, the other one is koffi's.
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
    // esbuild marks each part of a bundle with the name of its source file.
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

  it('compiles the client with the compiler and flags of a package builder', async () => {
    const compiler = destdir.at('/cc');
    const log = destdir.at('/log');
    const script = `#!/bin/sh
echo "$*" >>${log}
case " $* " in *" -static "*) exit 1 ;; esac
exec cc "$@"
`;
    writeFileSync(compiler, script, { mode: 0o755 });
    // The compiler first behaves as on a machine without a static libc.
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
