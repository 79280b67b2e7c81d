import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { projectRoot } from './paths.js';

const BUILDER = 'dist/install/package/main.js';
const DATE = '1700000000';
/** A machine with other work to do takes its time to compile. */
const TIMEOUT_MS = 900_000;

/** A directory with packages of the checkout. */
export class Packages implements Disposable {
  readonly path: string = mkdtempSync(join(tmpdir(), 'xen-packages-'));

  /** Builds the packages. Throws an error with the output of the builder if that fails. */
  async build(...words: string[]): Promise<void> {
    const args = [join(projectRoot, BUILDER), '--output', this.path, ...words];
    await run(process.execPath, args);
  }

  /** Builds the packages as another user, in another directory, with another environment. */
  async buildElsewhere(): Promise<void> {
    const script = `
set -e
umask 077
mkdir -p "$1/elsewhere/checkout" "$1/tmp" "$1/home"
chmod 755 "$1" "$1/elsewhere"
mount --bind "$2" "$1/elsewhere/checkout"
mkdir "$1/output"
chown nobody "$1/tmp" "$1/home" "$1/output"
cd /
exec env HOME="$1/home" TMPDIR="$1/tmp" TZ=Asia/Tokyo LANG=C.UTF-8 USER=nobody \
  setpriv --reuid=nobody --regid=nogroup --clear-groups \
  "$3" "$1/elsewhere/checkout/${BUILDER}" --output "$1/output"
`;
    const args = ['--mount', 'sh', '-c', script, 'sh', this.path, projectRoot, process.execPath];
    await run('unshare', args);
  }

  /** Returns the path of the only package whose name has this suffix. */
  file(suffix: string): string {
    const names = readdirSync(this.path).filter((name) => name.endsWith(suffix));
    if (names.length !== 1) throw new Error(`${names.length} packages end with ${suffix}`);
    return join(this.path, names[0] ?? '');
  }

  /** Makes a copy of the Debian package with a later version, and returns its path. */
  async later(): Promise<string> {
    const later = join(this.path, 'later', 'xen-blkback.deb');
    const script = `
dpkg-deb -R "$1" "$2/unpacked"
sed -i 's/^Version: .*/Version: 99.0/' "$2/unpacked/DEBIAN/control"
mkdir -p "$2/later"
dpkg-deb --root-owner-group -b "$2/unpacked" "$3"
rm -r "$2/unpacked"
`;
    const args = ['-ec', script, 'sh', this.file('.deb'), this.path, later];
    await run('sh', args);
    return later;
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

let shared: Promise<Packages> | undefined;

/**
 * Packages of the checkout of every kind that can be made here, for all test files of a process: to compile
 * them takes most of the time. They go with the process.
 */
export function sharedPackages(): Promise<Packages> {
  shared ??= (async () => {
    const packages = new Packages();
    process.once('exit', () => packages[Symbol.dispose]());
    await packages.build();
    return packages;
  })();
  return shared;
}

async function run(command: string, args: readonly string[]): Promise<void> {
  const env = { PATH: process.env.PATH, SOURCE_DATE_EPOCH: DATE };
  await promisify(execFile)(command, args, { env, timeout: TIMEOUT_MS });
}
