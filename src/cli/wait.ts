import { awaitClosed } from '../vbd/await-closed.js';
import { awaitOpened } from '../vbd/await-opened.js';
import type { Context, Outcome } from './run.js';
import { UsageError } from './usage-error.js';

/**
 * `wait`: returns when blkback has the device open, whoever attaches it; with `--closed` when it has none.
 * It ends with the error of the vbd where an add of it has failed.
 */
export async function waitFor(context: Context): Promise<Outcome> {
  const { store, vbd, settings, signal, invocation } = context;
  const { opened, closed } = invocation.options ?? {};
  if (opened !== undefined && closed !== undefined) {
    throw new UsageError('--opened and --closed exclude each other: give one of them');
  }
  const { sysfs, timeoutMs } = settings;
  if (closed !== undefined) {
    await awaitClosed(vbd, { sysfs, timeoutMs, signal });
    return {
      text: `${vbd.backend}: blkback has no device open`,
      quiet: true,
      json: { backend: vbd.backend, opened: false },
    };
  }
  const by = await awaitOpened(store, vbd, { sysfs, timeoutMs, signal });
  return {
    text: `${vbd.backend}: the device is open in blkback (${by})`,
    quiet: true,
    json: { backend: vbd.backend, opened: true, 'opened-by': by },
  };
}
