import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { CLIENT, Destdir, LIBRARY, listTree, SCRIPT } from '../../bed/installed.js';

const SETTINGS = '/etc/xen/xen-blkback.conf';
/** The settings file of earlier versions. */
const OLD_SETTINGS = '/etc/default/xen-blkback';

describe('the installer', function () {
  this.timeout(60_000);
  let destdir: Destdir;
  beforeEach(() => {
    destdir = new Destdir();
  });
  afterEach(() => destdir[Symbol.dispose]());

  const tree = (): string[] => listTree(destdir.path);

  it('keeps settings that an administrator has changed, also when it leaves', async () => {
    await destdir.install();
    writeFileSync(destdir.at(SETTINGS), 'timeout=20\n');
    await destdir.install();
    assert.equal(readFileSync(destdir.at(SETTINGS), 'utf8'), 'timeout=20\n');
    assert.ok(!tree().some((line) => line.endsWith('.new')), 'nothing in it is new');
    const { stdout } = await destdir.uninstall();
    assert.match(stdout, /\/etc\/xen\/xen-blkback\.conf has been changed and stays/);
    // A first installation finds the settings that somebody left, and puts its own beside them.
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
    // The interrupted installation has written the list, which comes first, and not the rest.
    rmSync(destdir.at(SCRIPT));
    rmSync(destdir.at(`${LIBRARY}/dist`), { recursive: true });
    await destdir.install();
    assert.deepEqual(tree(), whole);
    await destdir.uninstall();
    assert.deepEqual(tree(), []);
  });
});
