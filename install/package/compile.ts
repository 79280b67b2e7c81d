import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compileClient } from '../client.js';
import { ADDON, type Compiled, type Entry, listFiles } from '../tree.js';
import { hasCommand, run } from './run.js';

/** The flags if Debian's tool dpkg-buildflags is missing, which names the flags of packages. */
const USUAL_FLAGS = {
  CPPFLAGS: '-Wdate-time -D_FORTIFY_SOURCE=2',
  CFLAGS: '-O2 -fstack-protector-strong -fstack-clash-protection -fPIE',
  CXXFLAGS: '-O2 -fstack-protector-strong -fstack-clash-protection',
  LDFLAGS: '-Wl,-z,relro -Wl,-z,now',
} as const;

type FlagName = keyof typeof USUAL_FLAGS;

/** Compiles the native parts with the flags of Debian's packages and all of their hardening. */
export async function compileForPackages(project: string, node: string): Promise<Compiled> {
  const flags = await packageFlags(project);
  const directory = await mkdtemp(join(tmpdir(), 'xen-blkback-native-'));
  try {
    const mapped = `-ffile-prefix-map=${directory}=. -ffile-prefix-map=${project.replace(/\/$/, '')}=.`;
    const env = {
      ...process.env,
      CPPFLAGS: flags.CPPFLAGS,
      CFLAGS: `${flags.CFLAGS} ${mapped}`,
      CXXFLAGS: `${flags.CXXFLAGS} ${mapped}`,
      LDFLAGS: flags.LDFLAGS,
      // Makes node-gyp run as many compilers as there are processors.
      JOBS: 'max',
    };
    const client = await compileClient(project, node, {
      CFLAGS: `${flags.CPPFLAGS} ${env.CFLAGS}`,
      LDFLAGS: `${flags.LDFLAGS} -pie`,
    });
    for (const name of await listFiles(join(project, 'native'), isSource)) {
      await copyFile(join(project, 'native', name), join(directory, name));
    }
    await run(join(project, '.ci/build-native'), [directory], { env });
    const addon = await readFile(join(directory, ADDON.replace(/^native\//, '')));
    return { client, addon };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

const isSource = (name: string): boolean => /^[^/]+\.(cc|h|gyp)$/.test(name);

async function packageFlags(project: string): Promise<Record<FlagName, string>> {
  if (!(await hasCommand('dpkg-buildflags'))) return USUAL_FLAGS;
  const env = { ...process.env, DEB_BUILD_MAINT_OPTIONS: 'hardening=+all' };
  const get = (name: FlagName): Promise<string> =>
    run('dpkg-buildflags', ['--get', name], { cwd: project, env }).then((text) => text.trim());
  const [CPPFLAGS, CFLAGS, CXXFLAGS, LDFLAGS] = await Promise.all([
    get('CPPFLAGS'),
    get('CFLAGS'),
    get('CXXFLAGS'),
    get('LDFLAGS'),
  ]);
  return { CPPFLAGS, CFLAGS, CXXFLAGS, LDFLAGS };
}

/** Returns the tree with every compiled file stripped of data that only a debugger reads. */
export async function stripTree(tree: readonly Entry[]): Promise<Entry[]> {
  return await Promise.all(
    tree.map(async (entry) =>
      entry.kind === 'file' && isElf(entry.bytes)
        ? { ...entry, bytes: await strip(entry.bytes) }
        : entry,
    ),
  );
}

const isElf = (bytes: Buffer): boolean => bytes.subarray(0, 4).equals(Buffer.from('\x7fELF'));

async function strip(bytes: Buffer): Promise<Buffer> {
  const directory = await mkdtemp(join(tmpdir(), 'xen-blkback-strip-'));
  try {
    const path = join(directory, 'file');
    await writeFile(path, bytes);
    await run('strip', ['--strip-unneeded', '--remove-section=.comment', path]);
    return await readFile(path);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
