import { awaitRemoteClosed, awaitRemoteOpened } from '../vbd/await-remote.js';
import { awaitVbdClosed } from '../vbd/await-vbd-closed.js';
import { awaitVbdOpened } from '../vbd/await-vbd-opened.js';
import { isRemote } from './backend-domain.js';
import type { Context, Outcome } from './invocation.js';
import { UsageError } from './usage-error.js';

/**
 * Runs `wait`: waits until blkback has the device open, no matter which program attaches it. With
 * `--closed`, waits until blkback has no device open. Rejects with the error of the vbd if an add
 * of the vbd has failed.
 */
export async function wait(context: Context): Promise<Outcome> {
  const { store, vbd, settings, signal, invocation } = context;
  const { opened, closed } = invocation.options ?? {};
  if (opened !== undefined && closed !== undefined) {
    throw new UsageError('--opened and --closed exclude each other: give one of them');
  }
  const { sysfs, timeoutMs } = settings;
  if (isRemote(vbd)) return await waitForRemote(context, closed !== undefined);
  if (closed !== undefined) {
    await awaitVbdClosed(vbd, { sysfs, timeoutMs, signal });
    return {
      text: `${vbd.backend}: blkback has no device open`,
      quiet: true,
      json: { backend: vbd.backend, opened: false },
    };
  }
  const by = await awaitVbdOpened(store, vbd, { sysfs, timeoutMs, signal });
  return {
    text: `${vbd.backend}: the device is open in blkback (${by})`,
    quiet: true,
    json: { backend: vbd.backend, opened: true, 'opened-by': by },
  };
}

/** Waits for a vbd of another backend domain, which only XenStore shows here. */
async function waitForRemote(
  { store, vbd, settings, signal }: Context,
  untilClosed: boolean,
): Promise<Outcome> {
  const { timeoutMs } = settings;
  const json = { backend: vbd.backend, opened: !untilClosed };
  if (untilClosed) {
    await awaitRemoteClosed(store, vbd, { timeoutMs, signal });
    return { text: `${vbd.backend}: it is closed`, quiet: true, json };
  }
  const by = await awaitRemoteOpened(store, vbd, { timeoutMs, signal });
  const text = `${vbd.backend}: domain ${vbd.backendDomid} has attached its device (${by})`;
  return { text, quiet: true, json: { ...json, 'opened-by': by } };
}
