import { promises } from 'node:fs';

/** syslog.h */
const LOG_ERR = 3;

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
  await promises
    .appendFile(file, `${time} xen-blkback[${process.pid}]: ${line}\n`)
    .catch(() => undefined);
}
