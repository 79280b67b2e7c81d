import type { SyscallArgument } from '../../src/linux/addon.js';
import type { Devnum } from '../../src/linux/devnum.js';
import { blockIoctl, loopStatuses } from './ioctls.js';
import { EAGAIN, EINVAL, EIO, ENOENT, Errno } from './kernel/kernel.js';
import { listNames } from './kernel/text.js';
import type { SimulatedProcess } from './process.js';
import { findNode, resolve, resolveLink } from './resolve.js';
import { fillStatx } from './statx.js';

const NAMES = [
  ...['close', 'fcntl', 'fstatfs', 'getdents64', 'getrandom', 'ioctl', 'loopStatuses', 'mknodat'],
  ...[
    'nanosleep',
    'openat',
    'openat2',
    'read',
    'readlinkat',
    'statfs',
    'statx',
    'unlinkat',
    'write',
  ],
];
const AT_FDCWD = -100;
const [O_EXCL, O_PATH] = [0o200, 0o10000000];
const [F_SETSIG, F_OFD_GETLK, F_OFD_SETLK, F_SETLEASE] = [10, 36, 37, 1024];
const [F_RDLCK, F_WRLCK, F_UNLCK] = [0, 1, 2];
const ABSENT = -ENOENT;

/** Carries out one call at once, and returns its result. Throws `Errno`. */
function carryOut(
  process: SimulatedProcess,
  name: string,
  args: readonly SyscallArgument[],
): number {
  const { kernel } = process.world;
  const [first, second, third, fourth] = args;
  switch (name) {
    case 'close':
      process.closeFd(Number(first));
      return 0;
    case 'openat': {
      if (Number(first) !== AT_FDCWD) throw new Errno(EINVAL);
      const flags = Number(third);
      const isPath = (flags & O_PATH) !== 0;
      const isExclusive = (flags & O_EXCL) !== 0;
      // Not thrown: an exception costs more than the call, and most absent files are asked for here.
      const node = findNode(process, String(second));
      if (node === undefined) return ABSENT;
      return process.addFd(
        kernel.open(node, { isPath, isWritable: (flags & 3) !== 0, isExclusive }),
      );
    }
    case 'statx': {
      const path = String(second);
      const node = path === '' ? process.file(Number(first)).node : findNode(process, path);
      if (node === undefined) return ABSENT;
      return fillStatx(node, args[4] as Buffer);
    }
    case 'ioctl':
      return blockIoctl(process, Number(first), Number(second), third as Buffer | number);
    case 'loopStatuses':
      return loopStatuses(kernel, first as Buffer);
    case 'fcntl':
      return control(process, Number(first), Number(second), third as Buffer | number);
    case 'getrandom':
      for (let at = 0; at < Number(second); at++) {
        (first as Buffer)[at] = process.world.scheduler.random.below(256);
      }
      return Number(second);
    case 'mknodat': {
      const path = String(second);
      const devnum = decodeDevnum(Number(fourth));
      const { kind, ino } = { kind: 'device-node', ino: 7n } as const;
      kernel.madeNodes.set(path, { kind, path, ino, devnum, owner: process });
      process.world.scheduler.tell(process.name, () => `makes the node ${path}`);
      return 0;
    }
    case 'getdents64':
      return listEntries(process, Number(first), second as Buffer);
    case 'read': {
      const file = process.file(Number(first));
      if (file.node.kind !== 'text') throw new Errno(EINVAL);
      const text = file.read ? '' : file.node.text;
      file.read = true;
      return (second as Buffer).write(text, 'latin1');
    }
    case 'fstatfs':
    case 'statfs':
      return 0;
    default:
      throw new Error(`the simulated kernel has no ${name}(${String(second ?? fourth)})`);
  }
}

/** Decodes a device number in the layout of new_encode_dev (linux/kdev_t.h). */
function decodeDevnum(device: number): Devnum {
  return { major: (device >> 8) & 0xfff, minor: (device & 0xff) | ((device >> 12) & ~0xff) };
}

function control(
  process: SimulatedProcess,
  fd: number,
  command: number,
  argument: Buffer | number,
): number {
  const file = process.file(fd);
  if (command === F_SETSIG) return 0;
  if (file.node.kind !== 'file') throw new Errno(EINVAL);
  if (command === F_SETLEASE) {
    const others = [...file.node.openers].filter((one) => one !== file);
    const isFree =
      argument === F_RDLCK ? others.every((one) => !one.isWritable) : others.length === 0;
    if ((argument === F_RDLCK || argument === F_WRLCK) && !isFree) throw new Errno(EAGAIN);
    return 0;
  }
  if (typeof argument === 'number') throw new Errno(EINVAL);
  const exclusive = argument.readInt16LE(0) === F_WRLCK;
  const position = argument.readBigInt64LE(8);
  const { locks } = file.node;
  if (command === F_OFD_GETLK) {
    const end = position + argument.readBigInt64LE(16);
    const found = locks.find(
      (lock) => lock.owner !== file && lock.position >= position && lock.position < end,
    );
    argument.writeInt16LE(found ? Number(found.exclusive) : F_UNLCK, 0);
    argument.writeBigInt64LE(found?.position ?? position, 8);
    argument.writeBigInt64LE(found ? 1n : end - position, 16);
    return 0;
  }
  if (command !== F_OFD_SETLK) throw new Errno(EINVAL);
  const others = locks.filter((lock) => lock.position === position && lock.owner !== file);
  if (others.some((lock) => lock.exclusive || exclusive)) throw new Errno(EAGAIN);
  locks.push({ position, owner: file, exclusive });
  return 0;
}

function listEntries(process: SimulatedProcess, fd: number, buffer: Buffer): number {
  const file = process.file(fd);
  if (file.node.kind !== 'directory' || file.read) return 0;
  file.read = true;
  let at = 0;
  for (const name of listNames(process.world.kernel, file.node.path) ?? []) {
    const length = Math.ceil((20 + name.length) / 8) * 8;
    const vbd = process.world.kernel.vbds.get(name);
    buffer.fill(0, at, at + length);
    buffer.writeBigUInt64LE(vbd?.ino ?? 1n, at);
    buffer.writeUInt16LE(length, at + 16);
    buffer.write(name, at + 19, 'latin1');
    at += length;
  }
  return at;
}

/** Tells whether a call hangs now: an open of a file whose server does not answer. */
function isHung(
  process: SimulatedProcess,
  name: string,
  args: readonly SyscallArgument[],
): boolean {
  if (name !== 'openat') return false;
  const found = resolve(process, String(args[1]));
  return found !== undefined && 'node' in found && found.node.kind === 'file' && found.node.hung;
}

/** Returns the simulated addon of native/ for one process. */
export function simulatedAddon(process: SimulatedProcess): object {
  const { scheduler } = process.world;
  const attempt = (name: string, args: readonly SyscallArgument[]): number => {
    try {
      return carryOut(process, name, args);
    } catch (error) {
      if (error instanceof Errno) return -error.errno;
      throw error;
    }
  };
  const now = (number: number, args: readonly SyscallArgument[]): number => {
    process.step();
    return attempt(NAMES[number] ?? '', args);
  };
  return {
    syscalls: Object.fromEntries(NAMES.map((name, index) => [name, index])),
    callNow: now,
    exitAtOnce: () => process.kill('exits'),
    readMemoryFile: (path: string): string | number => {
      process.step();
      const found = resolve(process, path);
      if (found === undefined) return ABSENT;
      if ('text' in found) return found.text;
      return found.node.kind === 'file' ? found.node.content : -EIO;
    },
    readMemoryLink: (path: string) => resolveLink(process, path) ?? ABSENT,
    memoryFileError: (path: string) => (resolve(process, path) ? 0 : ABSENT),
    openBlockingCalls: (done: (id: number, result: number, errno: number) => void) => {
      const abandoned = new Set<number>();
      let lastId = 0;
      const run = (id: number, name: string, args: readonly SyscallArgument[]): void => {
        if (isHung(process, name, args)) {
          process.after(100, () => run(id, name, args));
          return;
        }
        process.step();
        // The result of an abandoned call must not be written to the memory of its caller.
        const own = (arg: SyscallArgument) => (arg instanceof Uint8Array ? Buffer.from(arg) : arg);
        const result = attempt(name, abandoned.has(id) ? args.map(own) : args);
        process.after(scheduler.random.fraction() * 0.1, () => {
          if (result < 0) done(id, -1, -result);
          else done(id, result, 0);
        });
      };
      return {
        start: (number: number, args: readonly SyscallArgument[]) => {
          process.step();
          const id = ++lastId;
          const name = NAMES[number] ?? '';
          const isSlow = scheduler.random.percent(3);
          const ms = scheduler.random.fraction() * (isSlow ? 400 : 0.3);
          process.after(ms, () => run(id, name, args));
          return id;
        },
        abandon: (id: number) => void abandoned.add(id),
      };
    },
    Channel: process.world.store.channelOf(process),
  };
}
