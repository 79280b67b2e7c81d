import { closeSync, fstatSync } from 'node:fs';
import { ioctlSync } from './calls.js';
import type { Devnum } from './devnum.js';
import { isSystemError, SystemError } from './errno.js';
import { O_RDONLY, OwnedFd } from './fd.js';
import { bindSocket, netlinkSocket, receiveDatagram, setSocketOption } from './socket.js';

/** An event of a block device, as the kernel announces it to udev. */
export interface Uevent {
  /** `add`, `remove`, `change` and others (lib/kobject_uevent.c, kobject_actions). */
  readonly action: string;
  /** The path below /sys: `/devices/virtual/block/loop3`, or `/devices/…/block/sda/sda1`. */
  readonly devpath: string;
  readonly devnum: Devnum;
  readonly isPartition: boolean;
}

/** A source of block device events. */
export interface UeventSource {
  /**
   * Returns the events since the last call, or `overrun` if events were lost. The kernel queues an
   * event before the system call that causes it returns. So the result has the events of everything
   * that was done before this call.
   */
  drain(): readonly Uevent[] | 'overrun';
}

// linux/netlink.h, asm-generic/socket.h.
const NETLINK_KOBJECT_UEVENT = 15;
const [AF_NETLINK, KERNEL_GROUP, ADDRESS_SIZE, SENDER] = [16, 1, 12, 4];
const [SO_RCVBUF, SO_RCVBUFFORCE] = [8, 33];
/** The size of the socket's buffer in bytes: room for some thousand events until the next `drain`. */
const ROOM = 4 * 1024 * 1024;
const NAME = "the kernel's events";

const NS_GET_USERNS = { name: 'NS_GET_USERNS', number: 0xb701 };
/** Inode number of the first user namespace (include/linux/proc_ns.h, PROC_USER_INIT_INO). */
const FIRST_USER_NAMESPACE = 0xeffffffdn;

/** A message has a header and up to UEVENT_BUFFER_SIZE = 2048 bytes (include/linux/kobject.h). */
const BUFFER = Buffer.alloc(8192);
const ADDRESS = Buffer.alloc(ADDRESS_SIZE);

/**
 * A socket that hears what the kernel tells udev. The event loop does not wait for the socket: code
 * that needs the latest events drains it. Nothing closes the descriptor, because the events are
 * needed as long as the process lives.
 */
export class UeventSocket implements UeventSource {
  readonly #fd: number;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /**
   * Opens the socket. Returns `undefined` if this process cannot hear all events of block devices.
   */
  static open(): UeventSocket | undefined {
    if (!hearsEverything()) return undefined;
    try {
      const fd = netlinkSocket(NETLINK_KOBJECT_UEVENT);
      // Without CAP_NET_ADMIN there is less room (socket(7), net.core.rmem_max), and an overrun is
      // reported.
      if (!setSocketOption(fd, SO_RCVBUFFORCE, ROOM)) setSocketOption(fd, SO_RCVBUF, ROOM);
      const address = Buffer.alloc(ADDRESS_SIZE);
      address.writeUInt16LE(AF_NETLINK, 0);
      address.writeUInt32LE(KERNEL_GROUP, 8);
      bindSocket(fd, address, NAME);
      return new UeventSocket(fd);
    } catch (error) {
      if (error instanceof SystemError) return undefined;
      throw error;
    }
  }

  /** Returns the events since the last call. Throws `SystemError`. */
  drain(): readonly Uevent[] | 'overrun' {
    const events: Uevent[] = [];
    let complete = true;
    for (;;) {
      try {
        const length = receiveDatagram(this.#fd, BUFFER, ADDRESS, NAME);
        if (length === undefined) return complete ? events : 'overrun';
        // Messages from other senders than the kernel (port 0) are ignored: programs can send to
        // the group too.
        if (ADDRESS.readUInt32LE(SENDER) !== 0) continue;
        if (length > BUFFER.length) complete = false;
        const event = parseUevent(BUFFER.toString('latin1', 0, length));
        if (event !== undefined) events.push(event);
      } catch (error) {
        if (!isSystemError(error, 'ENOBUFS')) throw error;
        complete = false;
      }
    }
  }
}

/**
 * Reads a message of the kernel. Returns `undefined` if the message is not about a block device, or
 * if the kernel only repeats an event on request, and nothing has happened (`udevadm trigger`;
 * Documentation/ABI/testing/sysfs-uevent). Pure.
 */
export function parseUevent(message: string): Uevent | undefined {
  if (!message.includes('\0SUBSYSTEM=block\0') || message.includes('\0SYNTH_UUID='))
    return undefined;
  const value = (key: string): string => {
    const start = message.indexOf(`\0${key}=`);
    if (start < 0) return '';
    const end = message.indexOf('\0', start + 1);
    return message.slice(start + key.length + 2, end < 0 ? undefined : end);
  };
  const [major, minor] = [
    Number(value('MAJOR') || Number.NaN),
    Number(value('MINOR') || Number.NaN),
  ];
  if (!Number.isInteger(major) || !Number.isInteger(minor)) return undefined;
  return {
    action: value('ACTION'),
    devpath: value('DEVPATH'),
    devnum: { major, minor },
    isPartition: value('DEVTYPE') === 'partition',
  };
}

/**
 * Tells whether this network namespace hears the events of block devices. A network namespace of
 * another user namespace than the first one does not (lib/kobject_uevent.c, uevent_net_init).
 */
function hearsEverything(): boolean {
  try {
    const net = OwnedFd.openSync('/proc/self/ns/net', O_RDONLY);
    try {
      const owner = ioctlSync(net.fd, NS_GET_USERNS, 0, net.name);
      try {
        return fstatSync(owner, { bigint: true }).ino === FIRST_USER_NAMESPACE;
      } finally {
        closeSync(owner);
      }
    } finally {
      void net.close();
    }
  } catch (error) {
    if (error instanceof SystemError) return false;
    throw error;
  }
}
