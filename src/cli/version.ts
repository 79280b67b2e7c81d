import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The version of the package that this file is part of, in a checkout as well as installed. */
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
