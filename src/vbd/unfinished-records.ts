import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { isInMemory } from '../linux/memory-file.js';

/** The name of a file that is not a record yet. Earlier versions left the process number out. */
const UNFINISHED = /^(vbd-\d+-\d+)\.json(?:\.(\d+))?\.new$/;

/** A record that a killed process did not finish. */
export interface UnfinishedRecord {
  /** The name of the vbd in sysfs, such as `vbd-7-51712`. */
  readonly sysfsName: string;
  readonly path: string;
}

/**
 * Returns the path under which this process writes a record before the record gets its name. Each
 * process has a path of its own: otherwise one process could truncate the file that another process
 * is about to rename.
 */
export function unfinishedPath(path: string): string {
  return `${path}.${process.pid}.new`;
}

/** Lists the records that killed processes did not finish. */
export function listUnfinished(directory: string): UnfinishedRecord[] {
  return listNames(directory).flatMap((name) => {
    if (!name.endsWith('.new')) return [];
    const [, sysfsName, pid] = UNFINISHED.exec(name) ?? [];
    if (sysfsName === undefined || (pid !== undefined && isWriting(pid))) return [];
    return [{ sysfsName, path: join(directory, name) }];
  });
}

/** Returns the names of the files in a directory; none where there is no directory. */
export function listNames(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    // Nothing has been recorded yet.
    return [];
  }
}

/**
 * Tells whether a process may be about to finish a record. This process is not: it writes a record
 * synchronously.
 */
function isWriting(pid: string): boolean {
  return pid !== String(process.pid) && isInMemory(`/proc/${pid}`);
}
