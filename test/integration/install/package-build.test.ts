import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { needsFullEffort } from '../../bed/effort.js';
import { needs } from '../../bed/needs.js';
import { type Packages, sharedPackages } from '../../bed/packages.js';
import { projectRoot } from '../../bed/paths.js';
import { type Run, startProgram } from '../../bed/script.js';
import { skipByName } from '../../bed/skip.js';

const run = (command: string, ...args: string[]): Promise<Run> =>
  startProgram(command, args, {}).ended;

describe('npm run package', function () {
  this.timeout(360_000);
  let packages: Packages;
  before(async function () {
    needs(this, 'debhelper');
    packages = await sharedPackages();
  });

  it('makes the same bytes again, by another user in another folder', async function () {
    needs(this, 'root', 'overlay');
    needsFullEffort(this);
    await packages.buildElsewhere();
    const hashes = (directory: string): string[] =>
      readdirSync(directory)
        .filter((name) => /\.(deb|rpm|gz)$/.test(name))
        .sort()
        .map((name) => {
          const bytes = readFileSync(join(directory, name));
          return `${createHash('sha256').update(bytes).digest('hex')} ${name}`;
        });
    assert.ok(hashes(packages.path).length >= 2);
    assert.deepEqual(hashes(join(packages.path, 'output')), hashes(packages.path));
  });

  it('makes a deb that lintian finds no fault with', async function () {
    needs(this, 'lintian');
    needsFullEffort(this);
    const deb = packages.file('.deb');
    const { status, stdout } = await run('lintian', '--fail-on', 'warning', deb);
    assert.deepEqual([status, stdout], [0, '']);
  });

  it('makes an rpm of which rpmlint says nothing but what is meant so', async function () {
    needsFullEffort(this);
    if ((await run('sh', '-c', 'command -v rpmlint && command -v rpmbuild')).status !== 0) {
      return skipByName(this, 'rpmlint or rpmbuild is not installed');
    }
    const config = join(projectRoot, 'install/rpm/rpmlint.toml');
    const { status, stdout } = await run('rpmlint', '--config', config, packages.file('.rpm'));
    assert.equal(status, 0, stdout);
    assert.match(stdout, / 0 errors, 0 warnings/);
  });

  it('makes a deb with a Node.js that is new enough, a trigger for it, and the settings as conffile', async () => {
    const { stdout: fields } = await run('dpkg-deb', '-f', packages.file('.deb'));
    assert.match(fields, /^Depends: (?=.*nodejs \(>= 20\.19\))(?=.*libc6 \(>= ).*$/m);
    const inside = async (name: string): Promise<string> =>
      (await run('dpkg-deb', '-I', packages.file('.deb'), name)).stdout;
    assert.equal(await inside('conffiles'), '/etc/xen/xen-blkback.conf\n');
    assert.match(await inside('triggers'), /^interest-noawait \/usr\/bin\/node$/m);
  });

  it('hardens what it compiles as Debian does', async () => {
    const directory = join(packages.path, 'tree');
    const { status } = await run('dpkg-deb', '-x', packages.file('.deb'), directory);
    assert.equal(status, 0);
    for (const name of [
      'usr/libexec/xen-blkback/block-diskseq',
      'usr/lib/xen-blkback/native/build/Release/blkback.node',
    ]) {
      const { stdout } = await run('readelf', '-Wdls', '--dyn-syms', join(directory, name));
      assert.match(stdout, /GNU_RELRO/, name);
      assert.match(stdout, /BIND_NOW/, name);
      assert.match(stdout, /GNU_STACK .* RW /, name);
      assert.match(stdout, /__stack_chk_fail/, name);
      assert.match(stdout, /__(sn?printf|memcpy|memmove|strcpy|read|fprintf|vsnprintf)_chk/, name);
      const header = await run('readelf', '-h', join(directory, name));
      assert.match(header.stdout, /Type: +DYN/, name);
    }
  });

  it('puts no manifest of the installer into a package, which would take it for its own', async () => {
    for (const [command, ...args] of [
      ['dpkg-deb', '-c', packages.file('.deb')],
      ['tar', '-tzf', packages.file('.tar.gz')],
    ] as const) {
      const { stdout } = await run(command, ...args);
      assert.match(stdout, /usr\/bin\/xen-blkback/);
      assert.doesNotMatch(stdout, /manifest/);
    }
  });
});
