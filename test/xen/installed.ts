import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { projectRoot } from '../bed/paths.js';

/** Builds the Debian package in `directory`, and unpacks it there; returns the root of its files. */
export function unpackPackage(directory: string): string {
  const builder = join(projectRoot, 'dist/install/package/main.js');
  const deb = execFileSync(process.execPath, [builder, '--output', directory, 'deb'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const root = join(directory, 'installed');
  execFileSync('dpkg-deb', ['--extract', deb.trim(), root]);
  return root;
}
