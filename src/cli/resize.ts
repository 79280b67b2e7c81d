import { resize as resizeVbd } from '../hotplug/resize.js';
import type { Context, Outcome } from './invocation.js';
import { parseSize } from './size.js';
import { UsageError } from './usage-error.js';

/**
 * Runs `resize`: makes the disk of a vbd as large as its file or device is now. If a size is given,
 * changes the file to this size first.
 */
export async function resize(context: Context): Promise<Outcome> {
  const { store, vbd, settings, signal, invocation } = context;
  const text = invocation.operands?.[1];
  const shrink = invocation.options?.shrink !== undefined;
  if (shrink && text === undefined) {
    throw new UsageError('--shrink needs a size: xen-blkback resize VBD SIZE --shrink');
  }
  const size = text === undefined ? undefined : { bytes: parseSize(text), shrink };
  const { backend, bytes } = await resizeVbd(store, vbd, { ...settings, size, signal });
  return {
    text: `${backend}: the disk has ${bytes} bytes`,
    json: { backend, bytes: String(bytes) },
  };
}
