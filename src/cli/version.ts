import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Returns the version of the package that contains this file, in a checkout or installed. */
export function readVersion(): string {
  let directory = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(directory, 'package.json')) && dirname(directory) !== directory) {
    directory = dirname(directory);
  }
  const { version }: { version?: unknown } = JSON.parse(
    readFileSync(join(directory, 'package.json'), 'utf8'),
  );
  return String(version);
}
