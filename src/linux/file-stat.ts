import { showPath } from '../util/path-bytes.js';
import { blockingCall } from './blocking-call.js';
import { statxInode } from './calls.js';
import { AT_FDCWD } from './fcntl.js';
import { pathArgument } from './path-steps.js';
import { type Place, placeOfFd } from './place.js';

/** The properties of a file that never change. */
export interface Inode {
  /** dev_t of the file system in the layout of glibc's makedev, which `rdev` has too. */
  readonly dev: bigint;
  readonly ino: bigint;
  /** The kind of the file. Permissions may be missing. */
  readonly mode: bigint;
  /** The device that a device node stands for. */
  readonly rdev: bigint;
}

/** The properties of a file in stat(2). */
export interface FileStat extends Inode {
  /** Bytes. */
  readonly size: bigint;
}

/** The properties of a file system in statfs(2). */
export interface FileSystemStat {
  /** The magic number of the file system's kind (linux/magic.h). */
  readonly type: bigint;
}

// struct statx (linux/stat.h) is the same on every machine.
const STATX_SIZE = 256;
const STATX = { mode: 28, ino: 32, size: 40, rdev: 128, dev: 136 };
const AT_EMPTY_PATH = 0x1000;
const AT_STATX_DONT_SYNC = 0x4000;
const STATX_BASIC_STATS = 0x7ff;

/** Reads the properties of a descriptor's file. Throws as `blockingCall` does. */
export async function statDescriptor(
  fd: number,
  object: string,
  signal?: AbortSignal,
): Promise<FileStat> {
  const buffer = Buffer.alloc(STATX_SIZE);
  await blockingCall({
    call: 'statx',
    args: [fd, '', AT_EMPTY_PATH, STATX_BASIC_STATS, buffer],
    uses: [fd],
    name: 'fstat',
    object,
    signal,
    place: (): Place | undefined => placeOfFd(fd),
  });
  return decodeStatx(buffer);
}

const INODE = Buffer.alloc(STATX_SIZE);

/**
 * Reads the inode of a descriptor's file at once. The inode is in memory while the descriptor is
 * open, and no file server is asked (fs/nfs/inode.c, nfs_getattr; fs/fuse/dir.c,
 * fuse_update_get_attr: AT_STATX_DONT_SYNC). Throws `SystemError`.
 */
export function inodeOfDescriptor(fd: number, object: string): Inode {
  statxInode(fd, INODE, object);
  const { dev, ino, mode, rdev } = decodeStatx(INODE);
  return { dev, ino, mode, rdev };
}

const S_IFMT = 0o170000n;
const S_IFBLK = 0o060000n;
const S_IFREG = 0o100000n;

/** Tells whether a file is a block device node. */
export function isBlockDevice({ mode }: Inode): boolean {
  return (mode & S_IFMT) === S_IFBLK;
}

/** Tells whether a file is a regular file. */
export function isRegularFile({ mode }: Inode): boolean {
  return (mode & S_IFMT) === S_IFREG;
}

/** Decodes the bytes of `struct statx`. */
export function decodeStatx(buffer: Buffer): FileStat {
  const devnum = (at: number): bigint =>
    makedev(BigInt(buffer.readUInt32LE(at)), BigInt(buffer.readUInt32LE(at + 4)));
  return {
    dev: devnum(STATX.dev),
    ino: buffer.readBigUInt64LE(STATX.ino),
    mode: BigInt(buffer.readUInt16LE(STATX.mode)),
    rdev: devnum(STATX.rdev),
    size: buffer.readBigUInt64LE(STATX.size),
  };
}

function makedev(major: bigint, minor: bigint): bigint {
  return (
    ((major & 0xfffff000n) << 32n) |
    ((major & 0xfffn) << 8n) |
    ((minor & 0xffffff00n) << 12n) |
    (minor & 0xffn)
  );
}

/**
 * Reads the properties of the file at a path, following links. The file system does not ask a
 * server for the properties, because cached ones are enough to identify a device or file. Throws as
 * `blockingCall` does.
 */
export async function statPath(path: string, signal?: AbortSignal): Promise<FileStat> {
  const buffer = Buffer.alloc(STATX_SIZE);
  await blockingCall({
    call: 'statx',
    args: [AT_FDCWD, pathArgument(path), AT_STATX_DONT_SYNC, STATX_BASIC_STATS, buffer],
    uses: [],
    name: 'stat',
    object: showPath(path),
    signal,
    place: () => undefined,
  });
  return decodeStatx(buffer);
}

/** How long `statWithinSecond` waits; milliseconds. */
const SHORT_MS = 1000;

/**
 * Reads the properties of a file as `statPath` does. Returns `undefined` if the path leads nowhere,
 * or if a file system on it does not answer within a second. Never rejects.
 */
export function statWithinSecond(path: string): Promise<FileStat | undefined> {
  return statPath(path, AbortSignal.timeout(SHORT_MS)).catch(() => undefined);
}

/**
 * Reads the properties of the file system of a descriptor's file. Throws as `blockingCall` does.
 */
export async function statFileSystem(
  fd: number,
  object: string,
  signal?: AbortSignal,
): Promise<FileSystemStat> {
  // struct statfs begins with a long on every 64-bit machine and has 120 bytes.
  const buffer = Buffer.alloc(120);
  await blockingCall({
    call: 'fstatfs',
    args: [fd, buffer],
    uses: [fd],
    object,
    signal,
    place: (): Place | undefined => placeOfFd(fd),
  });
  return { type: buffer.readBigUInt64LE() };
}
