import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { complain } from './output.js';

/** The installed program. Its source is install/divert. */
const PROGRAM = '/usr/libexec/xen-blkback/divert';

/**
 * Runs `divert`: puts the hotplug client in the place of the named scripts, or restores these
 * scripts if `undo` is set. Without names, lists the replaced scripts. Returns the exit status.
 */
export async function runDivert(names: readonly string[], undo: boolean): Promise<number> {
  if (undo && names.length === 0) {
    complain('xen-blkback: divert --undo needs the names of the scripts to bring back\n');
    return 2;
  }
  const words = names.length === 0 ? ['list'] : [undo ? 'remove' : 'add', ...names];
  const child = spawn(PROGRAM, words, { stdio: 'inherit' });
  try {
    const [status] = (await once(child, 'exit')) as [number | null];
    return status ?? 1;
  } catch {
    complain(`xen-blkback: there is no ${PROGRAM}: divert works for an installed xen-blkback\n`);
    return 1;
  }
}
