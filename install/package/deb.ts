import { copyFile, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DOCUMENTS } from '../tree.js';
import { run } from './run.js';
import { type PackageSource, stageTree, writeFilled } from './stage.js';

const FILES = ['control', 'rules', 'triggers', 'postinst', 'prerm', 'postrm', 'lintian-overrides'];
/** Files that the package omits. Debian has the licence in /usr/share/common-licenses. */
const LEFT_OUT = [`${DOCUMENTS}/LICENSE`];

/** Builds the Debian package with debhelper, and returns its path. */
export async function buildDeb(source: PackageSource): Promise<string> {
  const { project, version, date, output } = source;
  const architecture = (await run('dpkg', ['--print-architecture'])).trim();
  const directory = await mkdtemp(join(tmpdir(), 'xen-blkback-deb-'));
  try {
    const stage = join(directory, `xen-blkback-${version}`);
    await mkdir(join(stage, 'debian'), { recursive: true });
    const values = { NODE: source.node === undefined ? '' : `nodejs (>= ${source.node}), ` };
    for (const name of FILES) {
      const to = join(
        stage,
        'debian',
        name === 'rules' || name === 'control' ? name : `xen-blkback.${name}`,
      );
      const text = await readFile(join(project, 'install/deb', name), 'utf8');
      await writeFilled(to, text, values, name === 'rules' ? 0o755 : 0o644);
    }
    await writeFilled(join(stage, 'debian/changelog'), changelog(version, date), {});
    await stageTree(
      join(stage, 'tree'),
      source.tree.filter(({ path }) => !LEFT_OUT.includes(path)),
    );
    await run('dh', ['binary'], {
      cwd: stage,
      env: {
        ...process.env,
        SOURCE_DATE_EPOCH: String(date),
        // The value of debian/control, which dpkg-buildpackage would pass on.
        DEB_RULES_REQUIRES_ROOT: 'no',
      },
    });
    const name = `xen-blkback_${version}_${architecture}.deb`;
    await copyFile(join(directory, name), join(output, name));
    return join(output, name);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/**
 * Returns the changelog from which debhelper takes the name, the version and the date. People read
 * CHANGELOG.md.
 */
function changelog(version: string, date: number): string {
  const time = new Date(date * 1000).toUTCString().replace('GMT', '+0000');
  return `xen-blkback (${version}) unstable; urgency=medium

  * What has changed is told in /usr/share/doc/xen-blkback/CHANGELOG.md.

 -- xen-blkback-hotplug maintainers <maintainers@xen-blkback.invalid>  ${time}
`;
}
