import { EBADF, ENOENT, Errno, type Kernel } from './kernel/kernel.js';
import type { Node, VbdEntry } from './kernel/nodes.js';
import { isDirectory, readLink, readText } from './kernel/text.js';
import type { SimulatedProcess } from './process.js';
import { lookUpProc } from './procfs.js';

/** The object at a path: a node that can be opened, or a text. */
export type Found = { readonly node: Node } | { readonly text: string };

const FD = /^\/proc\/self\/fd\/(\d+)(?:\/(.*))?$/;
const MAPPER = '/dev/mapper/';
export const NET_NAMESPACE = '/proc/self/ns/net';
const VBDS = '/sys/bus/xen-backend/devices/';

/** Looks a path up for a process. Returns `undefined` if there is nothing. */
export function resolve(process: SimulatedProcess, path: string): Found | undefined {
  const { kernel } = process.world;
  const [, fd, below] = FD.exec(path) ?? [];
  if (fd !== undefined) {
    const file = process.fds.get(Number(fd));
    if (file === undefined) return undefined;
    if (below === undefined) return { node: file.node };
    return file.node.kind === 'vbd' ? vbdAttribute(file.node, below) : undefined;
  }
  if (path.startsWith(VBDS)) {
    const [name = '', attribute] = path.slice(VBDS.length).split('/');
    const vbd = kernel.vbds.get(name);
    if (vbd === undefined) return undefined;
    return attribute === undefined ? { node: vbd } : vbdAttribute(vbd, attribute);
  }
  const file = kernel.files.get(path);
  if (file !== undefined) return { node: file };
  const found = lookUpProc(process, path);
  if (found !== undefined) return found;
  if (path === NET_NAMESPACE && kernel.uevents) return { node: { kind: 'char', path, ino: 9n } };
  if (path.startsWith('/dev/')) return lookUpDevice(kernel, path);
  const text = readText(kernel, path);
  if (text !== undefined) return { text };
  return isDirectory(kernel, path) ? { node: { kind: 'directory', path, ino: 2n } } : undefined;
}

function lookUpDevice(kernel: Kernel, path: string): Found | undefined {
  const { disks, mapper, madeNodes, hasLoopNodes } = kernel;
  if (path === '/dev/loop-control') return { node: { kind: 'char', path, ino: 3n } };
  let name = path.slice('/dev/'.length);
  if (path.startsWith(MAPPER) && mapper !== undefined) {
    if (path === `${MAPPER}control`) return { node: { kind: 'char', path, ino: 5n } };
    // The links are udev's. A link may lead to a device that has another name by now.
    name = mapper.links.get(path.slice(MAPPER.length)) ?? '';
  }
  const made = madeNodes.get(path);
  if (made !== undefined) return { node: made };
  const disk = disks.get(name);
  if (disk === undefined || (disk.loop !== undefined && !hasLoopNodes)) return undefined;
  return { node: { kind: 'device-node', path: `/dev/${name}`, ino: 4n, devnum: disk.devnum } };
}

function vbdAttribute(vbd: VbdEntry, name: string): Found | undefined {
  if (!vbd.isThere) return undefined;
  const { physicalDevice, mode } = vbd;
  const text = { physical_device: physicalDevice, mode, driver: 'vbd' }[name];
  return text === undefined ? undefined : { text: `${text}\n` };
}

/**
 * Looks up a node that is to be opened; returns `undefined` if there is nothing at the path. Throws
 * `Errno` if there is only a text.
 */
export function findNode(process: SimulatedProcess, path: string): Node | undefined {
  const found = resolve(process, path);
  if (found === undefined) return undefined;
  if (!('node' in found)) throw new Errno(EBADF);
  return found.node;
}

/** Does the same, and throws `Errno` if there is nothing. */
export function requireNode(process: SimulatedProcess, path: string): Node {
  const node = findNode(process, path);
  if (node === undefined) throw new Errno(ENOENT);
  return node;
}

/** Returns the target of a link for a process, or `undefined` if there is no such link. */
export function resolveLink(process: SimulatedProcess, path: string): string | undefined {
  const [, fd] = FD.exec(path) ?? [];
  if (fd === undefined) return readLink(process.world.kernel, path);
  const node = process.fds.get(Number(fd))?.node;
  if (node === undefined) return undefined;
  return node.kind === 'vbd' ? `${VBDS}${node.name}` : node.path;
}
