import { mkdtemp, rm } from 'node:fs/promises';
import { arch, tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from './run.js';
import { type PackageSource, stageTree } from './stage.js';

/** Packs the tree into an archive that is to be unpacked below /, and returns its path. */
export async function buildTar({ tree, version, date, output }: PackageSource): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'xen-blkback-tar-'));
  try {
    await stageTree(directory, tree);
    const archive = join(output, `xen-blkback-${version}-linux-${arch()}.tar.gz`);
    await run(
      'tar',
      [
        '--create',
        '--format=gnu',
        '--sort=name',
        '--owner=root:0',
        '--group=root:0',
        `--mtime=@${date}`,
        '--mode=u+w,go-w,a+rX',
        '--use-compress-program=gzip -9n',
        `--file=${archive}`,
        `--directory=${directory}`,
        '.',
      ],
      { env: { ...process.env, GZIP: '' } },
    );
    return archive;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
