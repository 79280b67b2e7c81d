import { readFileSync } from 'node:fs';
import type { VbdPath, Xenstore } from '../../../src/index.js';

/** The library as it is installed in dom0: nothing of the checkout runs there but the scenarios. */
const INSTALLED = '/usr/lib/xen-blkback/dist/src/index.js';
export const library: typeof import('../../../src/index.js') = await import(INSTALLED);

/** A domain that does not exist: for the driver to probe a vbd, its nodes are enough. */
const FRONTEND = 900;
const DEVID = 51712;
const BACKEND = `backend/vbd/${FRONTEND}/${DEVID}`;
const FRONTEND_PATH = `/local/domain/${FRONTEND}/device/vbd/${DEVID}`;
const SYSFS = `/sys/bus/xen-backend/devices/vbd-${FRONTEND}-${DEVID}`;

export const ATTACH = {
  timeoutMs: 30_000,
  uapi: 'key',
  sysfs: '/sys',
  runDirectory: '/run/xen-blkback',
} as const;

/** Makes a vbd by hand, with what libxl writes; the driver then probes it. */
export async function makeVbd(store: Xenstore, params: string): Promise<VbdPath> {
  const nodes = {
    [`${FRONTEND_PATH}/backend`]: `/local/domain/0/${BACKEND}`,
    [`${FRONTEND_PATH}/backend-id`]: '0',
    [`${FRONTEND_PATH}/state`]: '1',
    [`${BACKEND}/frontend`]: FRONTEND_PATH,
    [`${BACKEND}/frontend-id`]: String(FRONTEND),
    [`${BACKEND}/params`]: params,
    [`${BACKEND}/script`]: '/etc/xen/scripts/block-diskseq',
    [`${BACKEND}/online`]: '1',
    [`${BACKEND}/dev`]: 'xvda',
    [`${BACKEND}/type`]: 'phy',
    [`${BACKEND}/mode`]: 'w',
    [`${BACKEND}/device-type`]: 'disk',
    [`${BACKEND}/state`]: '1',
  };
  await store.transact(
    Object.entries(nodes).map(([path, value]) => ({ op: 'write' as const, path, value })),
  );
  const vbd = library.parseVbdPath(BACKEND);
  if (vbd === undefined) throw new Error(`${BACKEND} is not understood`);
  await until(`${SYSFS} exists`, async () => {
    const state = await store.read(`${BACKEND}/state`).catch(() => '');
    return String(state) === '2';
  });
  return vbd;
}

/** Takes it and its domain away, as libxl does, and waits until the driver has let go. */
export async function deleteVbd(store: Xenstore): Promise<void> {
  const paths = [`backend/vbd/${FRONTEND}`, `/local/domain/${FRONTEND}`, `error/${BACKEND}`];
  for (const path of paths) await store.remove(path).catch(() => undefined);
  await until(`${SYSFS} is gone`, () => text(SYSFS, 'nodename') === undefined);
}

/** What the driver has open: the number as sysfs shows it, and what that device is. */
export function opened(): { readonly devnum: string; readonly content: string } | undefined {
  const devnum = text(SYSFS, 'physical_device');
  if (devnum === undefined) return undefined;
  const [major, minor] = devnum.split(':').map((hex) => Number.parseInt(hex, 16));
  const block = `/sys/dev/block/${major}:${minor}`;
  const content = text(block, 'loop/backing_file') ?? text(block, 'dm/name') ?? 'nothing';
  return { devnum, content };
}

export function text(directory: string, name: string): string | undefined {
  try {
    return readFileSync(`${directory}/${name}`, 'utf8').trim();
  } catch {
    return undefined;
  }
}

/** Looks now and then, for 20 s: more often would take the driver's time away. */
export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let i = 0; i < 800; i++) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error(`waited in vain: ${what}`);
}
