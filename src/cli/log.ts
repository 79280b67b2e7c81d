import { openForAppending, writeText } from '../linux/append.js';
import { closeDescriptor } from '../linux/blocking.js';

/** syslog.h */
const LOG_ERR = 3;
/** How long a log may take that lies on a file server, or is a pipe that nobody reads; milliseconds. */
const PATIENCE_MS = 1000;

/**
 * Tells of a failure where an administrator looks for those of hotplug scripts: Xen's hotplug log and
 * syslog. Neither being there is no failure of its own.
 */
export async function logFailure(file: string, line: string): Promise<void> {
  await appendFailure(file, line);
  const { syslog } = await import('../linux/syslog.js');
  syslog(LOG_ERR, line);
}

/** Xen's hotplug log only. It is opened for every line: whoever renames it need tell nobody. */
export async function appendFailure(file: string, line: string): Promise<void> {
  const time = new Date().toISOString();
  const signal = AbortSignal.timeout(PATIENCE_MS);
  try {
    const fd = await openForAppending(file, 0o644, signal);
    await writeText(fd, `${time} xen-blkback[${process.pid}]: ${line}\n`, file, signal).finally(
      () => closeDescriptor(fd, file, signal),
    );
  } catch {
    // It is told elsewhere, too.
  }
}
