import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { type Bed, startBed } from '../../bed/bed.js';
import { needsFullEffort } from '../../bed/effort.js';
import { CLIENT } from '../../bed/installed.js';
import { needs } from '../../bed/needs.js';
import { PackageRoot } from '../../bed/package-root.js';
import { type Packages, sharedPackages } from '../../bed/packages.js';
import { skipByName } from '../../bed/skip.js';
import { openStore } from '../../bed/store.js';
import { closeVbd } from '../../bed/toolstack.js';
import { HotplugFixture, MARKER } from '../hotplug/fixture.js';

const SOCKET_ENABLED = '/etc/systemd/system/sockets.target.wants/xen-blkback.socket';
/** Lists all files except for dpkg's and rpm's own records. */
const EVERYTHING =
  "find /etc /usr /var /run -not -path '/var/lib/dpkg/*' -not -path '/var/lib/rpm*' -not -path '/var/cache/*' -not -name '*.log' -not -path '/run/*' | sort";

const hasRpm = (): boolean => existsSync('/usr/bin/rpmbuild');

/**
 * Makes a later version of the package that contains Xen's hotplug scripts, with nothing else in
 * it.
 */
const REPACK_XEN = `
mkdir -p /run/xen/DEBIAN /run/xen/etc/xen/scripts
cp /etc/xen/scripts/block.distrib /run/xen/etc/xen/scripts/block
echo '# newer' >>/run/xen/etc/xen/scripts/block
echo /etc/xen/scripts/block >/run/xen/DEBIAN/conffiles
printf '%s\\n' 'Package: xen-utils-common' 'Version: 99' 'Architecture: amd64' 'Maintainer: a <a@b.invalid>' 'Description: none' >/run/xen/DEBIAN/control
dpkg-deb --root-owner-group -b /run/xen /run/xen.deb
`;

/**
 * Returns the loop devices over images of a bed. The mounts inside the root differ from those here,
 * so the kernel tells only the end of a path.
 */
function loopsOf(bed: Bed): string[] {
  return readdirSync('/sys/block').filter((name) => {
    const path = `/sys/block/${name}/loop/backing_file`;
    return existsSync(path) && readFileSync(path, 'utf8').includes(`/${basename(bed.directory)}/`);
  });
}

/** Returns the loop devices that are left after 2 s. */
async function loopsLeft(bed: Bed): Promise<string[]> {
  for (let tries = 100; tries > 0 && loopsOf(bed).length > 0; tries--) await pause(20);
  return loopsOf(bed);
}

describe('the Debian package', function () {
  this.timeout(180_000);
  let packages: Packages;
  let later: string;
  before(async function () {
    needs(this, 'root', 'loop', 'xenstored', 'overlay', 'debhelper');
    packages = await sharedPackages();
    later = await packages.later();
  });

  async function installed(): Promise<PackageRoot> {
    const root = await PackageRoot.start();
    try {
      await root.shell(`dpkg --install ${packages.file('.deb')}`);
      return root;
    } catch (error) {
      await root[Symbol.asyncDispose]();
      throw error;
    }
  }

  async function withFixture(body: (fixture: HotplugFixture) => Promise<void>): Promise<void> {
    await using bed = await startBed();
    await using store = await openStore(bed);
    await body(new HotplugFixture(bed, store));
  }

  it('enables the socket, not the services, and needs no other package than dpkg knows', async () => {
    await using root = await installed();
    assert.match(await root.shell('dpkg --status xen-blkback'), /^Status: install ok installed$/m);
    await root.shell(`test -L ${SOCKET_ENABLED}`);
    assert.equal(await root.shell('find /etc/systemd -name "xen-blkback*.service"'), '');
    const said = await root.shell('cat /run/systemctl.log');
    assert.match(said, /^daemon-reload$/m);
    assert.match(said, /start xen-blkback\.socket/);
    assert.equal(await root.shell('readlink /etc/xen/scripts/block-diskseq'), `${CLIENT}\n`);
  });

  it('keeps a socket disabled that an administrator has disabled', async function () {
    needsFullEffort(this);
    await using root = await installed();
    await root.shell(`rm ${SOCKET_ENABLED}; dpkg --install ${later}`);
    assert.equal(await root.shell(`ls ${SOCKET_ENABLED} 2>/dev/null || true`), '');
  });

  it('attaches and detaches, without a daemon and with one', () =>
    withFixture(async (fixture) => {
      await using root = await installed();
      const once = async (env: Readonly<Record<string, string>>): Promise<void> => {
        const vbd = await fixture.vbd(fixture.image());
        const added = await root.script(env, vbd, 'add');
        assert.deepEqual([added.status, added.stderr], [0, '']);
        assert.ok(fixture.events(vbd, 'opened')[0]?.bytes?.startsWith(MARKER));
        await closeVbd(fixture.store, vbd);
        assert.equal((await root.script(env, vbd, 'remove')).status, 0);
      };
      await once(fixture.bed.env);
      await using daemon = await root.startDaemon(fixture.bed);
      await once(daemon.env);
      assert.deepEqual(await loopsLeft(fixture.bed), []);
    }));

  it('loses no disk and fails no attach in an upgrade, and has the daemon started anew', function () {
    needsFullEffort(this);
    return withFixture(async (fixture) => {
      await using root = await installed();
      const { bed } = fixture;
      let daemon = await root.startDaemon(bed);
      const { env } = daemon;
      const kept = await fixture.vbd(fixture.image());
      assert.equal((await root.script(env, kept, 'add')).status, 0);

      let isUpgraded = false;
      const upgrade = root.shell(`dpkg --install ${later}`).finally(() => {
        isUpgraded = true;
      });
      let attached = 0;
      do {
        const vbd = await fixture.vbd(fixture.image());
        const added = await root.script(env, vbd, 'add');
        assert.deepEqual([added.status, added.stderr], [0, '']);
        attached++;
        await closeVbd(fixture.store, vbd);
        const removed = await root.script(env, vbd, 'remove');
        assert.deepEqual([removed.status, removed.stderr], [0, '']);
      } while (!isUpgraded);
      await upgrade;
      assert.ok(attached > 1, `${attached} disks were attached meanwhile`);
      const said = await root.shell('cat /run/systemctl.log');
      assert.match(said, /^try-restart xen-blkback\.service xen-blkback-driverdomain\.service$/m);

      // systemd restarts the daemon after an upgrade, here in the middle of an attach.
      const last = await fixture.vbd(fixture.image());
      const adding = root.script(env, last, 'add');
      await daemon.stop();
      assert.equal((await adding).status, 0);
      daemon = await root.startDaemon(bed);
      await using _daemon = daemon;
      assert.equal(loopsOf(bed).length, 2);
      for (const vbd of [kept, last]) {
        assert.equal(fixture.events(vbd, 'closed').length, 0);
        await closeVbd(fixture.store, vbd);
        assert.equal((await root.script(env, vbd, 'remove')).status, 0);
      }
      assert.deepEqual(await loopsLeft(bed), []);
    });
  });

  it('is not removed while a guest has a disk of it, unless that is asked for', () =>
    withFixture(async (fixture) => {
      await using root = await installed();
      const { env } = fixture.bed;
      const vbd = await fixture.vbd(fixture.image());
      assert.equal((await root.script(env, vbd, 'add')).status, 0);
      const refused = await root.run(env, 'dpkg', '--remove', 'xen-blkback');
      assert.notEqual(refused.status, 0);
      assert.match(
        refused.stderr,
        new RegExp(`it is not removed: guests have disks .*: ${vbd.key}\\.`),
      );
      await root.shell(`test -x ${CLIENT}; xen-blkback --version`);
      await root.shell('XEN_BLKBACK_REMOVE=yes dpkg --remove xen-blkback', { ...env });
    }));

  it('is removed where disks are attached by other scripts', function () {
    needsFullEffort(this);
    return withFixture(async (fixture) => {
      await using root = await installed();
      const { env } = fixture.bed;
      const vbd = await fixture.vbd(fixture.image(), { script: '/etc/xen/scripts/block' });
      assert.equal((await root.script(env, vbd, 'add')).status, 0);
      const { status, stderr } = await root.run(env, 'dpkg', '--remove', 'xen-blkback');
      assert.equal(status, 0, stderr);
    });
  });

  it('leaves nothing when it is purged', async function () {
    needsFullEffort(this);
    await using root = await PackageRoot.start();
    const before = await root.shell(EVERYTHING);
    await root.shell(`dpkg --install ${packages.file('.deb')}`);
    assert.notEqual(await root.shell(EVERYTHING), before);
    await root.shell('echo timeout=20 >/etc/xen/xen-blkback.conf');
    await root.shell('dpkg --remove xen-blkback');
    assert.equal(
      await root.shell('cat /etc/xen/xen-blkback.conf'),
      'timeout=20\n',
      'a changed conffile stays until then',
    );
    await root.shell('dpkg --purge xen-blkback');
    assert.equal(await root.shell(EVERYTHING), before);
  });

  it('takes the place of another script and gives it back, over upgrades of both', async function () {
    needsFullEffort(this);
    await using root = await installed();
    const block = '/etc/xen/scripts/block';
    // Xen's scripts are conffiles of xen-utils-common, which is installed in this root.
    const old = await root.shell(`cat ${block}`);
    await root.shell('xen-blkback divert block qubes-block');
    assert.equal(await root.shell(`readlink ${block}`), `${CLIENT}\n`);
    assert.equal(await root.shell(`cat ${block}.distrib`), old);
    assert.equal(await root.shell('xen-blkback divert'), 'block\nqubes-block\n');
    assert.match(await root.shell('cat /run/systemctl.log'), /^try-restart xen-blkback/m);
    await root.shell(REPACK_XEN);
    await root.shell(`dpkg --install --force-confnew /run/xen.deb; dpkg --install ${later}`);
    assert.equal(await root.shell(`readlink ${block}`), `${CLIENT}\n`);
    assert.equal(await root.shell(`cat ${block}.distrib`), `${old}# newer\n`);
    await root.shell('xen-blkback divert --undo qubes-block; dpkg --remove xen-blkback');
    assert.equal(await root.shell(`cat ${block}`), `${old}# newer\n`);
    assert.equal(
      await root.shell('cd /etc/xen/scripts; ls *.distrib *qubes* 2>/dev/null || true'),
      '',
    );
    assert.equal(await root.shell('dpkg-divert --list "*xen/scripts*"'), '');
  });

  it('has a daemon started anew when Node.js is exchanged', async function () {
    needsFullEffort(this);
    await using root = await installed();
    await root.shell(
      'rm /run/systemctl.log; dpkg-trigger --no-await --by-package=nodejs /usr/bin/node',
    );
    await root.shell('dpkg --triggers-only --pending');
    assert.match(await root.shell('cat /run/systemctl.log'), /^try-restart xen-blkback\.service/m);
  });

  it('as an rpm attaches disks, is not removed under them, and leaves nothing', function () {
    needsFullEffort(this);
    if (!hasRpm()) {
      return skipByName(this, 'rpmbuild is not installed');
    }
    return withFixture(async (fixture) => {
      const { env } = fixture.bed;
      await using root = await PackageRoot.start();
      // Debian's rpm has made no database yet. dpkg knows the dependencies here, and rpm does not.
      await root.shell('rpm --initdb');
      const before = await root.shell(EVERYTHING);
      await root.shell(`rpm --install --nodeps ${packages.file('.rpm')}`);
      const said = await root.shell('cat /run/systemctl.log');
      assert.match(said, /^--no-reload enable xen-blkback\.socket$/m);
      const vbd = await fixture.vbd(fixture.image());
      const added = await root.script(env, vbd, 'add');
      assert.deepEqual([added.status, added.stderr], [0, '']);
      await root.shell('xen-blkback divert block');
      const refused = await root.run(env, 'rpm', '--erase', 'xen-blkback');
      assert.notEqual(refused.status, 0);
      assert.match(refused.stderr, new RegExp(`guests have disks .*: ${vbd.key}\\.`));
      await closeVbd(fixture.store, vbd);
      assert.equal((await root.script(env, vbd, 'remove')).status, 0);
      await root.shell('rpm --erase xen-blkback', env);
      assert.equal(await root.shell(EVERYTHING), before);
    });
  });
});
