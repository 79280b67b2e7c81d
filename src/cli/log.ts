import { appendFile } from 'node:fs/promises';

/** syslog.h */
const LOG_ERR = 3;

/**
 * Tells of a failure wherever an administrator looks: stderr, Xen's hotplug log and syslog. Neither
 * of the latter two being there is no failure of its own.
 */
export async function logFailure(file: string, line: string): Promise<void> {
  process.stderr.write(`xen-blkback: ${line}\n`);
  const time = new Date().toISOString();
  await appendFile(file, `${time} xen-blkback[${process.pid}]: ${line}\n`).catch(() => undefined);
  const { syslog } = await import('../linux/ffi.js');
  syslog(LOG_ERR, line);
}
