import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import {
  CODE_CACHES,
  COMPLETION,
  DOCUMENTS,
  type Entry,
  LIBRARY,
  PROGRAMS,
  UNITS,
} from '../tree.js';
import { run } from './run.js';
import { type PackageSource, stageTree, writeFilled } from './stage.js';

/** Directories that no other package owns. */
const OWN = [
  LIBRARY,
  PROGRAMS,
  DOCUMENTS,
  // Of zsh, where that is installed; the directory may have several owners.
  '/usr/share/zsh',
  `${UNITS}/xen-blkback.service.d`,
  `${UNITS}/xen-blkback-driverdomain.service.d`,
];

const EMPTY = { mode: 0o644, bytes: Buffer.alloc(0) } as const;

/** Builds the rpm package, and returns its path. */
export async function buildRpm(source: PackageSource): Promise<string> {
  const { project, version, date, output } = source;
  const caches = CODE_CACHES.map((path): Entry => ({ kind: 'file', path, ...EMPTY }));
  const tree = [...source.tree.map(toRpmPlace), ...caches];
  const directory = await mkdtemp(join(tmpdir(), 'xen-blkback-rpm-'));
  try {
    const at = (name: string): string => join(directory, name);
    await mkdir(at('tree'));
    await stageTree(at('tree'), tree);
    await writeFile(at('files'), `${listFiles(tree).join('\n')}\n`);
    const spec = await readFile(join(project, 'install/rpm/xen-blkback.spec'), 'utf8');
    const node = source.node === undefined ? '' : `Requires: nodejs >= ${source.node}`;
    const values = { VERSION: version, NODE: node, DAY: changelogDay(date) };
    await writeFilled(at('xen-blkback.spec'), spec, values);
    const architecture = (await run('uname', ['-m'])).trim();
    const defines = {
      _topdir: at('top'),
      staged: at('tree'),
      filelist: at('files'),
      // The package must not show where, when and by whom it was built.
      _buildhost: 'localhost',
      use_source_date_epoch_as_buildtime: '1',
      clamp_mtime_to_source_date_epoch: '1',
      build_mtime_policy: 'clamp_to_source_date_epoch',
    };
    await run(
      'rpmbuild',
      [
        '-bb',
        '--target',
        architecture,
        ...Object.entries(defines).flatMap(([name, value]) => ['--define', `${name} ${value}`]),
        at('xen-blkback.spec'),
      ],
      { env: { ...process.env, SOURCE_DATE_EPOCH: String(date) } },
    );
    const name = `xen-blkback-${version}-1.${architecture}.rpm`;
    await copyFile(join(at('top'), 'RPMS', architecture, name), join(output, name));
    return join(output, name);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/**
 * Compresses manual pages, as debhelper does for the deb, and moves the completion of zsh to the
 * directory in which zsh looks on systems with rpm.
 */
function toRpmPlace(entry: Entry): Entry {
  if (entry.path === COMPLETION.zsh) {
    return { ...entry, path: '/usr/share/zsh/site-functions/_xen-blkback' };
  }
  if (entry.kind !== 'file' || !entry.path.startsWith('/usr/share/man/')) return entry;
  return { ...entry, path: `${entry.path}.gz`, bytes: gzipSync(entry.bytes, { level: 9 }) };
}

/** Returns a day such as `Thu Nov 26 2026`. `date` is in seconds since 1970. */
function changelogDay(date: number): string {
  const [name = '', day, month, year] = new Date(date * 1000).toUTCString().split(' ');
  return `${name.replace(',', '')} ${month} ${day} ${year}`;
}

/** Returns the lines of the %files section of the spec. */
function listFiles(tree: readonly Entry[]): string[] {
  const directories = new Set<string>();
  const lines = tree.map((entry) => {
    for (const own of OWN) {
      if (!entry.path.startsWith(`${own}/`)) continue;
      for (let path = entry.path; path !== own; ) {
        path = path.slice(0, path.lastIndexOf('/'));
        directories.add(path);
      }
    }
    const { path } = entry;
    if (entry.kind === 'link') return `"${path}"`;
    const mode = entry.mode.toString(8).padStart(4, '0');
    const attributes = `%attr(${mode}, root, root)`;
    if (entry.kind === 'conffile') return `${attributes} %config(noreplace) "${path}"`;
    // The scriptlets write these files. As ghosts, rpm removes them with the package.
    if (CODE_CACHES.includes(path)) return `%ghost ${attributes} "${path}"`;
    if (/\/(copyright|LICENSE)$/.test(path)) return `${attributes} %license "${path}"`;
    if (path.startsWith(DOCUMENTS)) return `${attributes} %doc "${path}"`;
    return `${attributes} "${path}"`;
  });
  const owned = [...directories].sort().map((path) => `%dir %attr(0755, root, root) "${path}"`);
  return [...owned, ...lines];
}
