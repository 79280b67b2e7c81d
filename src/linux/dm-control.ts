import { ERRNO } from '../util/errno.js';
import { blockingCall } from './blocking-call.js';
import { DM_FLAG, type DmReply, decodeDmReply } from './dm-ioctl.js';
import { isSystemError, SystemError } from './errno.js';
import { O_RDWR, OwnedFd } from './fd.js';

// This file uses the kernel's own interface and not libdevmapper. That library keeps state of its
// own and is not thread-safe, so that one call that hangs would hold up all others. The library's
// file also has different names in different distributions.

const CONTROL = '/dev/mapper/control';
/** Least and largest room for the data of a reply; bytes. The largest tables are far smaller. */
const LEAST_REPLY = 1024;
const LARGEST_REPLY = 16 * 1024 * 1024;

/** A request to device-mapper, about one device or all of them. */
export interface DmCall<T> {
  readonly request: { readonly name: string; readonly number: number };
  /** The device, for messages. */
  readonly object: string;
  /**
   * Makes the request with room for `dataSize` bytes of data. The request is wiped after the
   * answer.
   */
  readonly encode: (dataSize: number) => Buffer;
  /** Extracts the result. It must copy what it keeps. */
  readonly decode: (reply: DmReply, buffer: Buffer) => T;
  readonly dataSize?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Undoes the request if it succeeds after the signal has ended the wait for it. */
  readonly onAbandonedSuccess?: (() => void) | undefined;
}

/**
 * Asks device-mapper. Throws `SystemError` with the errno of the ioctl, `ENODEV` if there is no
 * device-mapper, `EACCES` without the privilege, `ENAMETOOLONG` for a name or UUID that is too
 * long, `E2BIG` for a reply of more than 16 MiB, and `EHUNG` if too many requests about that device
 * hang.
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
      // A table may contain a key.
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
  const { request, object, signal, onAbandonedSuccess } = call;
  try {
    await blockingCall({
      call: 'ioctl',
      args: [control.fd, request.number, buffer],
      uses: [control.fd],
      name: request.name,
      object,
      signal,
      onAbandonedSuccess,
      place: () => ({ key: object, description: object }),
    });
  } catch (error) {
    if (!isSystemError(error, 'EACCES')) throw error;
    // dm-ioctl.c, ctl_ioctl: without CAP_SYS_ADMIN device-mapper answers no request at all.
    throw new SystemError(
      `${CONTROL}: permission denied (EACCES): device-mapper needs root with CAP_SYS_ADMIN`,
      { code: 'EACCES', errno: error.errno, syscall: request.name, cause: error },
    );
  }
}

/** The descriptor stays open: it serves all requests, and holds no device. */
let opened: OwnedFd | undefined;

async function openControl(signal: AbortSignal | undefined): Promise<OwnedFd> {
  if (opened !== undefined) return opened;
  let mine: OwnedFd;
  try {
    // The open makes the kernel load the module, which may take time.
    mine = await OwnedFd.open(CONTROL, O_RDWR, { signal });
  } catch (error) {
    if (!isSystemError(error, 'ENOENT', 'ENODEV', 'ENXIO')) throw error;
    throw new SystemError(
      'device-mapper is not available: is the kernel module dm_mod loaded (modprobe dm_mod)?',
      { code: 'ENODEV', syscall: 'open', cause: error },
    );
  }
  // Another request may have opened the file meanwhile.
  if (opened === undefined) opened = mine;
  else await mine.close();
  return opened;
}
