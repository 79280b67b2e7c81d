import { resize as resizeVbd } from '../hotplug/resize.js';
import type { Context, Outcome } from './run.js';

/** `resize`: makes the disk of a vbd as large as its file or disk is by now. */
export async function resize({ store, vbd, settings, signal }: Context): Promise<Outcome> {
  const { backend, bytes } = await resizeVbd(store, vbd, { ...settings, signal });
  return {
    text: `${backend}: the disk has ${bytes} bytes`,
    json: { backend, bytes: String(bytes) },
  };
}
