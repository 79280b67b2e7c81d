import type { TransactionStep } from '../../src/xenstore/xenstore.js';
import type { ToolstackStore } from './cli-store.js';
import { within } from './deadline.js';

/** A vbd that the toolstack has made. */
export interface Vbd {
  /** The name in blkback's log, such as `7/51712`. */
  readonly key: string;
  /** The path as in `XENBUS_PATH`, relative for domain 0, such as `backend/vbd/7/51712`. */
  readonly backendPath: string;
  /** The absolute path of the frontend. */
  readonly frontendPath: string;
  /** The path of the driver's error node, relative or absolute like `backendPath`. */
  readonly errorPath: string;
}

/** The properties of a new vbd. */
export interface VbdOptions {
  /** The domain number of the guest. */
  readonly frontend: number;
  /** The device number. 51712 is xvda, and each further disk adds 16. */
  readonly devid: number;
  readonly params: string;
  readonly mode?: string;
  readonly dev?: string;
  readonly type?: string;
  readonly script?: string;
  readonly backendDomid?: number;
  /** Additional backend nodes, or other values for the usual nodes. */
  readonly extra?: Readonly<Record<string, string>>;
  /** The names of backend nodes to leave out. */
  readonly omit?: readonly string[];
}

const STATE_DEADLINE_MS = 5000;

/** Returns the name and the paths of a vbd, which need not exist. */
export function vbdOf(options: Pick<VbdOptions, 'frontend' | 'devid' | 'backendDomid'>): Vbd {
  const key = `${options.frontend}/${options.devid}`;
  const domain = options.backendDomid ? `/local/domain/${options.backendDomid}/` : '';
  return {
    key,
    backendPath: `${domain}backend/vbd/${key}`,
    frontendPath: `/local/domain/${options.frontend}/device/vbd/${options.devid}`,
    errorPath: `${domain}error/backend/vbd/${key}/error`,
  };
}

/** Writes the nodes of a new disk as libxl does (libxl_disk.c, device_disk_add), at once. */
export async function createVbd(store: ToolstackStore, options: VbdOptions): Promise<Vbd> {
  const vbd = vbdOf(options);
  await store.transact(creation(vbd, options));
  return vbd;
}

/** Creates several disks in one transaction, so that no disk waits for another one. */
export async function createVbds(
  store: ToolstackStore,
  list: readonly VbdOptions[],
): Promise<Vbd[]> {
  await store.transact(list.flatMap((options) => creation(vbdOf(options), options)));
  return list.map(vbdOf);
}

function creation(vbd: Vbd, options: VbdOptions): TransactionStep[] {
  const backendDomid = options.backendDomid ?? 0;
  const frontend = {
    backend: `/local/domain/${backendDomid}/backend/vbd/${vbd.key}`,
    'backend-id': String(backendDomid),
    state: '1',
    'virtual-device': String(options.devid),
    'device-type': 'disk',
  };
  const backend: Record<string, string> = {
    frontend: vbd.frontendPath,
    params: options.params,
    script: options.script ?? '/etc/xen/scripts/block-diskseq',
    'frontend-id': String(options.frontend),
    online: '1',
    removable: '0',
    bootable: '1',
    state: '1',
    dev: options.dev ?? 'xvda',
    type: options.type ?? 'phy',
    mode: options.mode ?? 'w',
    'device-type': 'disk',
    'discard-enable': '1',
    ...options.extra,
  };
  for (const name of options.omit ?? []) delete backend[name];
  return [...writes(vbd.frontendPath, frontend), ...writes(vbd.backendPath, backend)];
}

/** Waits until blkback waits for a device, as libxl does before it runs the script. */
export function waitInitWait(
  store: ToolstackStore,
  vbd: Vbd,
  deadlineMs = STATE_DEADLINE_MS,
): Promise<void> {
  return waitState(store, vbd, '2', deadlineMs);
}

/** Waits until the backend's state is the given one. */
export function waitState(
  store: ToolstackStore,
  vbd: Vbd,
  state: string,
  deadlineMs = STATE_DEADLINE_MS,
): Promise<void> {
  return waitNode(store, `${vbd.backendPath}/state`, state, deadlineMs);
}

/** Waits until a node has the given value. */
export async function waitNode(
  store: ToolstackStore,
  path: string,
  value: string,
  deadlineMs = STATE_DEADLINE_MS,
): Promise<void> {
  let last = 'not there';
  const check = async (): Promise<boolean> => {
    // Any failure to read counts as "not there", because the deadline ends the wait anyway.
    last = await store.read(path).then(
      (bytes) => bytes.toString(),
      () => 'not there',
    );
    return last === value;
  };
  await within(
    deadlineMs,
    () => `${path} = ${value}, but it is ${last}`,
    async (signal) => {
      let settle = (_error?: Error) => {};
      const reached = new Promise<void>((resolve, reject) => {
        settle = (error) => (error ? reject(error) : resolve());
      });
      signal.addEventListener('abort', () => settle(), { once: true });
      await using _watch = await store.watch(path, {
        onEvent: () => void check().then((equal) => equal && settle()),
        onLost: (error) => settle(error),
      });
      await reached;
    },
  );
}

/** Sets the state of the frontend as a guest's driver does. Never makes a deleted frontend anew. */
export async function setFrontendState(
  store: ToolstackStore,
  vbd: Vbd,
  state: number,
): Promise<void> {
  await store.transact([
    { op: 'exists', path: vbd.frontendPath },
    ...writes(vbd.frontendPath, { state: String(state) }),
  ]);
}

/** Detaches gracefully up to the frontend's answer. The nodes stay, and blkback writes state 6. */
export async function closeVbd(store: ToolstackStore, vbd: Vbd): Promise<void> {
  await store.transact([
    { op: 'exists', path: vbd.backendPath },
    ...writes(vbd.backendPath, { online: '0', state: '5' }),
  ]);
  await setFrontendState(store, vbd, 6);
}

/** Removes frontends and backends in one transaction. Nodes of the driver in `error/` stay. */
export async function deleteVbd(store: ToolstackStore, ...vbds: readonly Vbd[]): Promise<void> {
  await store.transact(
    vbds.flatMap(({ frontendPath, backendPath }): TransactionStep[] => [
      { op: 'remove', path: frontendPath },
      { op: 'remove', path: backendPath },
    ]),
  );
}

function writes(directory: string, nodes: Readonly<Record<string, string>>): TransactionStep[] {
  return Object.entries(nodes).map(([name, value]) => ({
    op: 'write',
    path: `${directory}/${name}`,
    value,
  }));
}
