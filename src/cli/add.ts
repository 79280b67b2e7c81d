import { attach } from '../hotplug/attach.js';
import { planAttach } from '../hotplug/plan.js';
import { readVbdBackend } from '../xenstore/vbd-backend.js';
import type { Context, Outcome } from './run.js';

/** `add`: attaches the vbd; with `--dry-run` only says what would be done. */
export async function add(context: Context): Promise<Outcome> {
  const { store, vbd, settings, signal, onStep } = context;
  if (context.invocation.dryRun) return plan(context);
  const result = await attach(store, vbd, { ...settings, signal, onStep });
  const { publication, openedBy, already } = result;
  return {
    text: `${vbd.backend}: ${publication['physical-device-path']} is open in blkback${already ? ' (it was attached before)' : ''}`,
    quiet: true,
    json: { backend: result.backend, ...publication, 'opened-by': openedBy, already },
  };
}

async function plan({ store, vbd, settings, signal }: Context): Promise<Outcome> {
  const backend = await readVbdBackend(store, vbd, { signal });
  const { request, target } = planAttach(vbd, backend);
  const { locator, writable, file } = request;
  const device = 'path' in locator ? locator.path : `the disk with diskseq ${locator.diskseq}`;
  const steps = [
    `open ${device} for ${writable ? 'reading and writing' : 'reading'}`,
    `if it is a file: a loop device over it, from byte ${file.offset}, ${file.size ?? 'all'} bytes, blocks of ${file.blockSize}, direct I/O ${file.directIo}, autoclear ${target.autoclear ? 'on' : 'off'}`,
    `write physical-device, physical-device-path and diskseq below ${vbd.backend} when its state is 2 (${settings.uapi} dialect)`,
    `wait up to ${settings.timeoutMs / 1000} s until blkback has opened it, then let go`,
  ];
  return {
    text: steps.join('\n'),
    json: {
      backend: vbd.backend,
      ...('path' in locator
        ? { path: locator.path }
        : { diskseq: String(locator.diskseq), partition: locator.partition }),
      writable,
      offset: String(file.offset),
      size: file.size === undefined ? null : String(file.size),
      'block-size': file.blockSize,
      'direct-io': file.directIo,
      autoclear: target.autoclear,
      uapi: settings.uapi,
    },
  };
}
