import { openForAppending, writeText } from '../linux/append.js';
import { closeDescriptor } from '../linux/blocking.js';
import { pause } from '../util/retry.js';

/** syslog.h */
const LOG_ERR = 3;
/** How long a log is waited for that lies on a file server, or is a pipe that nobody reads; milliseconds. */
const PATIENCE_MS = 500;

/** A line was not written in time, and is still under way: no other one is begun. */
let isStuck = false;

/**
 * Tells of a failure where an administrator looks for those of hotplug scripts: Xen's hotplug log and
 * syslog. Neither being there is no failure of its own.
 */
export async function logFailure(file: string, line: string): Promise<void> {
  const { syslog } = await import('../linux/syslog.js');
  syslog(LOG_ERR, line);
  await appendFailure(file, line);
}

/** Xen's hotplug log only. It is opened for every line: whoever renames it need tell nobody. */
export async function appendFailure(file: string, line: string): Promise<void> {
  if (isStuck) return;
  const time = new Date().toISOString();
  const written = append(file, `${time} xen-blkback[${process.pid}]: ${line}\n`);
  const patience = new AbortController();
  const late = pause(PATIENCE_MS, patience.signal).then(
    () => true,
    () => false,
  );
  isStuck = await Promise.race([written.then(() => false), late]);
  patience.abort();
  if (!isStuck) return;
  void written.then(() => {
    isStuck = false;
  });
}

/** Never rejects. */
async function append(file: string, text: string): Promise<void> {
  try {
    const fd = await openForAppending(file, 0o644);
    await writeText(fd, text, file).finally(() => closeDescriptor(fd, file));
  } catch {
    // It is told elsewhere, too.
  }
}
