import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Destdir, inPlace } from '../../bed/installed.js';
import { needs } from '../../bed/needs.js';
import { projectRoot } from '../../bed/paths.js';
import { type Run, startProgram } from '../../bed/script.js';

const SERVICES = ['xen-blkback.service', 'xen-blkback-driverdomain.service'];

describe('the systemd units', function () {
  this.timeout(60_000);
  let destdir: Destdir;
  before(async function () {
    needs(this, 'root', 'overlay', 'systemd');
    destdir = new Destdir();
    await destdir.install();
  });
  after(() => destdir?.[Symbol.dispose]());

  const analyze = (...words: string[]): Promise<Run> => {
    const [file, args] = inPlace(destdir, '/usr/bin/systemd-analyze', ...words);
    return startProgram(file, args, {}).ended;
  };

  it('are such that systemd has nothing to say about them', async () => {
    // The check of the manual pages needs man(1), which needs a PATH, so it is left out.
    const more = ['xen-blkback.socket', 'xen-blkback-metrics.service', 'xen-blkback-metrics.timer'];
    const words = ['verify', '--man=no', ...SERVICES, ...more];
    const { status, stderr } = await analyze(...words);
    // The messages about other units do not concern this project.
    const ours = stderr.split('\n').filter((line) => line.includes('xen-blkback'));
    assert.deepEqual([status, ours], [0, []]);
  });

  it('confine the daemon as far as it goes', async () => {
    for (const service of SERVICES) {
      const limit = '--threshold=40';
      const { status, stdout } = await analyze('security', '--offline=yes', limit, service);
      assert.equal(status, 0, stdout.split('\n').at(-2));
    }
  });

  it('give the daemon no mount namespace, in which loop devices would outlive umount', () => {
    const directory = join(projectRoot, 'install/systemd');
    const option =
      /^(?!PrivateMounts=no$)(Protect(?!Hostname)\w+|Private(?!Network|Users)\w+|(ReadOnly|ReadWrite|Inaccessible|Exec|NoExec)Paths|TemporaryFileSystem|Bind\w*Paths|Root\w+|MountFlags|MountImages|Dynamic\w+|ProcSubset)=/m;
    assert.match('ProtectSystem=full', option);
    for (const name of readdirSync(directory)) {
      assert.doesNotMatch(readFileSync(join(directory, name), 'utf8'), option, name);
    }
  });
});
