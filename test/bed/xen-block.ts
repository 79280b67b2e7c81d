import { spawn } from 'node:child_process';
import { within } from './deadline.js';
import type { Vbd } from './toolstack.js';

/** Xen's own hotplug script for disks: the reference for behaviour and for speed. */
export const XEN_BLOCK_SCRIPT = '/etc/xen/scripts/block';

/** Every successful run is shorter, because libxl gives a script 40 s; milliseconds. */
const DEADLINE_MS = 40_000;

/** The result of a hotplug script. */
export interface ScriptResult {
  /** The exit status. `null` if the script was killed. */
  readonly status: number | null;
  readonly milliseconds: number;
}

/**
 * Runs Xen's `block` script as libxl does. Its locks apply to the whole machine (/run/xen-hotplug),
 * and its messages go to /var/log/xen/xen-hotplug.log.
 */
export function runXenBlock(
  bed: { readonly env: Readonly<Record<string, string>> },
  vbd: Vbd,
  action: 'add' | 'remove',
): Promise<ScriptResult> {
  return runScript(XEN_BLOCK_SCRIPT, bed, vbd, action);
}

/** Runs a hotplug script with the arguments and the environment of libxl. */
export async function runScript(
  script: string,
  bed: { readonly env: Readonly<Record<string, string>> },
  vbd: Vbd,
  action: 'add' | 'remove',
): Promise<ScriptResult> {
  const start = performance.now();
  const child = spawn(script, [action], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: {
      PATH: process.env.PATH,
      ...bed.env,
      script,
      XENBUS_TYPE: 'vbd',
      XENBUS_PATH: vbd.backendPath,
      XENBUS_BASE_PATH: vbd.backendPath.replace(/\/vbd\/.*/, ''),
    },
  });
  try {
    const status = await within(DEADLINE_MS, `end of ${script} ${action}`, () => {
      return new Promise<number | null>((resolve, reject) => {
        child.once('exit', resolve);
        child.once('error', reject);
      });
    });
    return { status, milliseconds: performance.now() - start };
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  }
}
