import assert from 'node:assert/strict';
import { DebianRoot } from '../../bed/debian-root.js';
import { needsFullEffort } from '../../bed/effort.js';
import { CLIENT } from '../../bed/installed.js';
import { needs } from '../../bed/needs.js';
import { Packages } from '../../bed/packages.js';
import { startProgram } from '../../bed/script.js';
import { skipByName } from '../../bed/skip.js';

/** Lists all files except for caches, logs and the records of package managers. */
const EVERYTHING =
  "find /etc /usr /var /run -not -path '/var/lib/dpkg/*' -not -path '/var/lib/apt/*' -not -path '/var/cache/*' -not -path '/var/log/*' | sort";
const INSTALL = 'apt-get install --quiet --yes --no-install-recommends';
const PURGE = 'apt-get purge --quiet --yes --autoremove xen-blkback';

describe('the Debian package on a fresh Debian 13', function () {
  this.timeout(1_500_000);
  let root: DebianRoot;
  let packages: Packages;
  let deb: string;
  let initially: string;
  before(async function () {
    needs(this, 'root', 'debhelper');
    needsFullEffort(this);
    root = await makeRoot(this, 'trixie');
    packages = new Packages();
    await packages.build('deb');
    deb = root.take(packages.file('.deb'), 'xen-blkback.deb');
    await root.shell('apt-get update --quiet');
    initially = await root.shell(EVERYTHING);
  });
  after(() => {
    root?.[Symbol.dispose]();
    packages?.[Symbol.dispose]();
  });

  it('has apt bring what it needs, and says by doctor what a machine without Xen lacks', async () => {
    await root.shell(`${INSTALL} ${deb}`);
    assert.match(
      await root.shell('dpkg --status xen-blkback nodejs'),
      /^Status: install ok installed$/m,
    );
    assert.match(await root.shell('xen-blkback --version'), /^xen-blkback \d+\.\d+\.\d+/);
    const { status, stdout } = await root.run('xen-blkback doctor');
    assert.equal(status, 1);
    assert.match(stdout, /^ok +script +block-diskseq in \/etc\/xen\/scripts$/m);
    assert.match(stdout, /^FAILED +xenstored +cannot reach xenstored/m);
    assert.doesNotMatch(stdout, /\bat .*\.cjs:\d+/);
  });

  it('has manual pages of 80 columns, and completion that bash loads by itself', async () => {
    const pages = [
      '8 xen-blkback',
      '8 block-diskseq',
      '5 xen-blkback.conf',
      '7 xen-blkback-targets',
    ];
    for (const page of pages) {
      const text = await root.shell(`man --warnings ${page} 2>&1`);
      assert.match(text, /^NAME$/m, page);
      assert.doesNotMatch(text, /warning/i, page);
    }
    const completed = await root.shell(
      `bash -c '. /usr/share/bash-completion/bash_completion
        __load_completion xen-blkback
        COMP_WORDS=(xen-blkback sh) COMP_CWORD=1
        _xen_blkback
        echo "\${COMPREPLY[@]}"'`,
    );
    assert.equal(completed, 'show\n');
  });

  it('leads from man and /usr/share/doc to each how-to page', async () => {
    const [, index] =
      /(\/usr\/share\/doc\/xen-blkback\/?)/.exec(await root.shell('man 8 xen-blkback')) ?? [];
    assert.ok(index);
    const text = await root.shell(`cat ${index}/docs/index.md`);
    const targets = [...text.matchAll(/\]\((howto\/[a-z-]+\.md)\)/g)].map(([, target]) => target);
    assert.ok(targets.length >= 6);
    for (const target of targets) await root.shell(`test -s ${index}/docs/${target}`);
  });

  it('takes the place of block and gives it back', async () => {
    await root.shell('mkdir -p /etc/xen/scripts; echo old >/etc/xen/scripts/block');
    await root.shell('xen-blkback divert block');
    assert.equal(await root.shell('readlink /etc/xen/scripts/block'), `${CLIENT}\n`);
    await root.shell('xen-blkback divert --undo block');
    assert.equal(await root.shell('cat /etc/xen/scripts/block'), 'old\n');
    await root.shell('rm /etc/xen/scripts/block');
  });

  it('leaves nothing when it is purged, after an upgrade from an older version as well', async () => {
    await root.shell(PURGE);
    assert.equal(await root.shell(EVERYTHING), initially);
    const older = new Packages();
    try {
      await older.build('deb', '--version', '0.1.9');
      const old = root.take(older.file('.deb'), 'old.deb');
      await root.shell(`${INSTALL} ${old}; ${INSTALL} ${deb}`);
      assert.doesNotMatch(await root.shell('xen-blkback --version'), /^xen-blkback 0\.1\.9/);
      await root.shell(PURGE);
      assert.equal(await root.shell(EVERYTHING), initially);
    } finally {
      older[Symbol.dispose]();
    }
  });
});

describe('the Debian package with its own Node.js', function () {
  this.timeout(1_500_000);

  it('runs on a Debian 12 that has none', async function () {
    needs(this, 'root', 'debhelper');
    needsFullEffort(this);
    using packages = new Packages();
    await packages.build('deb', '--with-node');
    using root = await makeRoot(this, 'bookworm');
    const deb = root.take(packages.file('.deb'), 'xen-blkback.deb');
    await root.shell(`apt-get update --quiet; ${INSTALL} ${deb}`);
    assert.equal((await root.run('command -v node')).status, 1);
    assert.match(await root.shell('xen-blkback --version'), /^xen-blkback \d+\.\d+\.\d+/);
    assert.match((await root.run('xen-blkback doctor')).stdout, /^ok +script /m);
    await root.shell(PURGE);
  });
});

/** Makes a root file system of a suite. Skips by name on a machine that cannot make one. */
async function makeRoot(context: Mocha.Context, suite: string): Promise<DebianRoot> {
  const { status } = await startProgram('sh', ['-c', 'command -v mmdebstrap'], {}).ended;
  if (status !== 0) skipByName(context, 'mmdebstrap is not installed');
  return await DebianRoot.make(suite).catch((error: Error) =>
    skipByName(context, `there is no mirror of Debian: ${error.message.slice(0, 300)}`),
  );
}
