import { awaitOpened } from '../vbd/await-opened.js';
import type { Context, Outcome } from './run.js';

/** `wait --opened`: returns when blkback has the device open, whoever attaches it. */
export async function waitOpened(context: Context): Promise<Outcome> {
  const { store, vbd, settings, signal } = context;
  const { sysfs, timeoutMs } = settings;
  const by = await awaitOpened(store, vbd, { sysfs, timeoutMs, signal });
  return {
    text: `${vbd.backend}: the device is open in blkback (${by})`,
    quiet: true,
    json: { backend: vbd.backend, opened: true, 'opened-by': by },
  };
}
