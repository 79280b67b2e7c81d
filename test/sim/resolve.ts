import { EBADF, ENOENT, Errno } from './kernel/kernel.js';
import type { Node, VbdEntry } from './kernel/nodes.js';
import { isDirectory, readLink, readText } from './kernel/text.js';
import type { SimulatedProcess } from './process.js';

/** The object at a path: a node that can be opened, or a text. */
export type Found = { readonly node: Node } | { readonly text: string };

const FD = /^\/proc\/self\/fd\/(\d+)(?:\/(.*))?$/;
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
  if (path.startsWith('/proc/self/fdinfo/')) {
    const open = process.fds.has(Number(path.slice('/proc/self/fdinfo/'.length)));
    return open ? { text: 'pos:\t0\nflags:\t0\nmnt_id:\t1\n' } : undefined;
  }
  if (path === '/dev/loop-control') return { node: { kind: 'char', path, ino: 3n } };
  const disk = path.startsWith('/dev/') ? kernel.disks.get(path.slice('/dev/'.length)) : undefined;
  if (disk !== undefined) {
    return { node: { kind: 'device-node', path, ino: 4n, devnum: disk.devnum } };
  }
  const text = readText(kernel, path);
  if (text !== undefined) return { text };
  return isDirectory(kernel, path) ? { node: { kind: 'directory', path, ino: 2n } } : undefined;
}

function vbdAttribute(vbd: VbdEntry, name: string): Found | undefined {
  if (!vbd.isThere) return undefined;
  const { physicalDevice, mode } = vbd;
  const text = { physical_device: physicalDevice, mode, driver: 'vbd' }[name];
  return text === undefined ? undefined : { text: `${text}\n` };
}

/** Looks up a node that is to be opened. Throws `Errno` if there is none. */
export function requireNode(process: SimulatedProcess, path: string): Node {
  const found = resolve(process, path);
  if (found === undefined) throw new Errno(ENOENT);
  if (!('node' in found)) throw new Errno(EBADF);
  return found.node;
}

/** Returns the target of a link for a process, or `undefined` if there is no such link. */
export function resolveLink(process: SimulatedProcess, path: string): string | undefined {
  const [, fd] = FD.exec(path) ?? [];
  if (fd === undefined) return readLink(process.world.kernel, path);
  const node = process.fds.get(Number(fd))?.node;
  if (node === undefined) return undefined;
  return node.kind === 'vbd' ? `${VBDS}${node.name}` : node.path;
}
