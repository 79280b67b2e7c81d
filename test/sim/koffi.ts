import { EBADF, Errno, type Kernel } from './kernel/kernel.js';
import type { UeventQueue } from './kernel/uevents.js';
import type { SimulatedProcess } from './process.js';

const [EAGAIN, EAFNOSUPPORT, ENOBUFS] = [11, 97, 105];

/**
 * The simulated koffi of one process: the functions of libc that src/linux/socket.ts calls, for the
 * netlink socket on which the kernel tells of block devices.
 */
export function simulatedKoffi(process: SimulatedProcess): object {
  const { kernel } = process.world;
  let errno = 0;
  const fail = (number: number): number => {
    errno = number;
    return -1;
  };
  const functions: Readonly<Record<string, (...args: never[]) => number>> = {
    socket: () => {
      process.step();
      const { uevents } = kernel;
      if (uevents === undefined) return fail(EAFNOSUPPORT);
      const node = { kind: 'socket', path: 'socket:[1]', ino: 8n, queue: uevents.open() } as const;
      return process.addFd(openNode(kernel, node));
    },
    setsockopt: () => 0,
    bind: () => 0,
    recvfrom: (fd: number, bytes: Buffer, _size: number, _flags: number, address: Buffer) => {
      process.step();
      const { queue } = socketOf(process, fd);
      if (queue.isOverrun) {
        queue.isOverrun = false;
        return fail(ENOBUFS);
      }
      const message = queue.messages.shift();
      if (message === undefined) return fail(EAGAIN);
      // The sender's port: 0 is the kernel.
      address.writeUInt32LE(0, 4);
      return bytes.write(message, 'latin1');
    },
  };
  return {
    errno: () => errno,
    load: () => ({
      func: (declaration: string) => functions[/(\w+)(?:\(|$)/.exec(declaration)?.[1] ?? ''],
    }),
  };
}

function openNode(kernel: Kernel, node: Parameters<Kernel['open']>[0]) {
  return kernel.open(node, { isPath: false, isWritable: true, isExclusive: false });
}

function socketOf(process: SimulatedProcess, fd: number): { readonly queue: UeventQueue } {
  const { node } = process.file(fd);
  if (node.kind !== 'socket') throw new Errno(EBADF);
  return node;
}
