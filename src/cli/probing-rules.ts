import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Matches commands that read every new block device and assemble the arrays or volumes on it. */
const PROBES = /mdadm\s+(--incremental|-I)|(pvscan|vgchange)\s.*(--cache|-a)/;

/**
 * Returns the names of rule files with such commands. A file hides files of the same name in later
 * directories.
 */
export function findProbingRules(directories: readonly string[]): string[] {
  const seen = new Set<string>();
  const found: string[] = [];
  for (const directory of directories) {
    for (const name of listRules(directory)) {
      if (seen.has(name)) continue;
      seen.add(name);
      if (PROBES.test(readText(join(directory, name)))) found.push(name);
    }
  }
  return found;
}

function listRules(directory: string): string[] {
  try {
    return readdirSync(directory)
      .filter((name) => name.endsWith('.rules'))
      .sort();
  } catch {
    return [];
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
