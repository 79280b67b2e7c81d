import { detach } from '../hotplug/detach.js';
import { showPath } from '../util/path-bytes.js';
import { readRecord } from '../vbd/record.js';
import { readVbdBackend } from '../vbd/vbd-backend.js';
import type { Context, Outcome } from './invocation.js';

/** Runs `remove`: detaches the vbd. With `--dry-run`, only describes what a detach would do. */
export async function remove(context: Context): Promise<Outcome> {
  const { store, vbd, settings, signal, onStep } = context;
  if (context.invocation.dryRun) return plan(context);
  await detach(store, vbd, { ...settings, signal, onStep });
  return {
    text: `${vbd.backend}: detached, nothing is left`,
    quiet: true,
    json: { backend: vbd.backend, detached: true },
  };
}

async function plan({ store, vbd, settings, signal }: Context): Promise<Outcome> {
  const backend = await readVbdBackend(store, vbd, { signal });
  const record = readRecord(settings.runDirectory, vbd);
  const device = record?.path ?? backend.text('physical-device-path');
  const text =
    device === undefined
      ? `nothing is attached at ${vbd.backend}`
      : `wait up to ${settings.timeoutMs / 1000} s until blkback has closed ${showPath(device)}${record?.unbind ? ', unbind it' : ''}, then remove our nodes below ${vbd.backend}`;
  return { text, json: { backend: vbd.backend, device: device ?? null } };
}
