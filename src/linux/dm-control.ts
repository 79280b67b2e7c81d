import { ERRNO } from '../util/errno.js';
import { blockingCall } from './blocking.js';
import { DM_FLAG, type DmReply, decodeDmReply } from './dm-ioctl.js';
import { isSystemError, SystemError } from './errno.js';
import { O_RDWR, OwnedFd } from './fd.js';

// The kernel's own interface, not libdevmapper: that library keeps state of its own and is not
// thread-safe, so that one call of it that hangs would hold up all others, and its file is called
// differently with each distribution.

const CONTROL = '/dev/mapper/control';
/** Bytes of data that a reply may grow from and to; the largest tables are far smaller. */
const LEAST_REPLY = 1024;
const LARGEST_REPLY = 16 * 1024 * 1024;

/** One request about one device. */
export interface DmCall<T> {
  readonly request: { readonly name: string; readonly number: number };
  /** The device, for messages. */
  readonly object: string;
  /** Makes the request, with room for so many bytes of data. It is wiped when it has been answered. */
  readonly encode: (dataSize: number) => Buffer;
  /** Takes out what is wanted; must copy what it keeps. */
  readonly decode: (reply: DmReply, buffer: Buffer) => T;
  readonly dataSize?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Asks device-mapper. Throws `SystemError` with the errno of the ioctl; `ENODEV` where there is no
 * device-mapper, `EACCES` without the privilege, `EHUNG` where too many requests about that device hang.
 */
export async function callMapper<T>(call: DmCall<T>): Promise<T> {
  const control = await openControl(call.signal);
  for (let size = call.dataSize ?? 0; ; size = Math.max(size, LEAST_REPLY) * 4) {
    const buffer = encode(call, size);
    try {
      await ask(control, buffer, call);
      const reply = decodeDmReply(buffer);
      if ((reply.flags & DM_FLAG.bufferFull) === 0) return call.decode(reply, buffer);
    } finally {
      // A table may have a key in it.
      buffer.fill(0);
    }
    if (size >= LARGEST_REPLY)
      throw SystemError.fromErrno(call.request.name, call.object, ERRNO.E2BIG);
  }
}

function encode<T>({ encode, request, object }: DmCall<T>, size: number): Buffer {
  try {
    return encode(size);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw SystemError.fromErrno(request.name, object, ERRNO.ENAMETOOLONG);
  }
}

async function ask<T>(control: OwnedFd, buffer: Buffer, call: DmCall<T>): Promise<void> {
  const { request, object, signal } = call;
  try {
    await blockingCall({
      call: 'ioctl',
      args: [control.fd, request.number, buffer],
      uses: [control.fd],
      name: request.name,
      object,
      signal,
      place: () => ({ key: object, description: object }),
    });
  } catch (error) {
    if (!isSystemError(error, 'EACCES')) throw error;
    // dm-ioctl.c, ctl_ioctl: nothing at all is told to whoever may not administrate.
    throw new SystemError(
      `${CONTROL}: permission denied (EACCES): device-mapper needs root with CAP_SYS_ADMIN`,
      { code: 'EACCES', errno: error.errno, syscall: request.name, cause: error },
    );
  }
}

/** Stays open: it is the same for all, and holds no device. */
let opened: OwnedFd | undefined;

async function openControl(signal: AbortSignal | undefined): Promise<OwnedFd> {
  if (opened !== undefined) return opened;
  let mine: OwnedFd;
  try {
    // It makes the kernel load the module, which may take its time.
    mine = await OwnedFd.open(CONTROL, O_RDWR, { signal });
  } catch (error) {
    if (!isSystemError(error, 'ENOENT', 'ENODEV', 'ENXIO')) throw error;
    throw new SystemError(
      'device-mapper is not available: is the kernel module dm_mod loaded (modprobe dm_mod)?',
      { code: 'ENODEV', syscall: 'open', cause: error },
    );
  }
  // Another request may have opened it meanwhile.
  if (opened === undefined) opened = mine;
  else await mine.close();
  return opened;
}
