import { openForAppending, writeText } from '../linux/append.js';
import { closeDescriptor } from '../linux/blocking-call.js';
import { pause } from '../util/retry.js';

/** The priority of syslog.h. */
const LOG_ERR = 3;
/**
 * How long a write to the log may take; milliseconds. The log may lie on a file server, or may be a
 * pipe that nobody reads.
 */
const PATIENCE_MS = 500;

/** Whether the write of an earlier line is late and still under way. No other write begins then. */
let isStuck = false;

/**
 * Logs a failure where administrators look for failures of hotplug scripts: in Xen's hotplug log
 * and in syslog. Never rejects, even if both are missing.
 */
export async function logFailure(file: string, line: string): Promise<void> {
  const { syslog } = await import('../linux/syslog.js');
  syslog(LOG_ERR, line);
  await appendFailure(file, line);
}

/**
 * Logs a failure in Xen's hotplug log only. Opens the file for every line, so that it can be
 * renamed without notice.
 */
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

/** Appends a text to a file. Never rejects. */
async function append(file: string, text: string): Promise<void> {
  try {
    const fd = await openForAppending(file, 0o644);
    await writeText(fd, text, file).finally(() => closeDescriptor(fd, file));
  } catch {
    // The failure is reported elsewhere, too.
  }
}
