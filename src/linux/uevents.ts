import { closeSync, fstatSync } from 'node:fs';
import { ioctlSync } from './calls.js';
import type { Devnum } from './devnum.js';
import { isSystemError, SystemError } from './errno.js';
import { O_RDONLY, OwnedFd } from './fd.js';
import { bindSocket, netlinkSocket, receiveDatagram, setSocketOption } from './socket.js';

/** Something that has happened to a block device, as the kernel announces it to udev. */
export interface Uevent {
  /** `add`, `remove`, `change` and others (lib/kobject_uevent.c, kobject_actions). */
  readonly action: string;
  /** Below /sys: `/devices/virtual/block/loop3`, or `/devices/…/block/sda/sda1`. */
  readonly devpath: string;
  readonly devnum: Devnum;
  readonly isPartition: boolean;
}

/** Where the events of block devices come from. */
export interface UeventSource {
  /**
   * The events since the last call, or `overrun` where some were lost. The kernel queues an event
   * before the system call returns that is the reason for it, so that all that was done before this
   * call is among them.
   */
  drain(): readonly Uevent[] | 'overrun';
}

// linux/netlink.h, asm-generic/socket.h.
const NETLINK_KOBJECT_UEVENT = 15;
const [AF_NETLINK, KERNEL_GROUP, ADDRESS_SIZE, SENDER] = [16, 1, 12, 4];
const [SO_RCVBUF, SO_RCVBUFFORCE] = [8, 33];
/** Enough for some thousand events that nobody has asked for yet. */
const ROOM = 4 * 1024 * 1024;
const NAME = "the kernel's events";

const NS_GET_USERNS = { name: 'NS_GET_USERNS', number: 0xb701 };
/** Inode number of the first user namespace (include/linux/proc_ns.h, PROC_USER_INIT_INO). */
const FIRST_USER_NAMESPACE = 0xeffffffdn;

/** UEVENT_BUFFER_SIZE is 2048, and the header comes before that (include/linux/kobject.h). */
const BUFFER = Buffer.alloc(8192);
const ADDRESS = Buffer.alloc(ADDRESS_SIZE);

/**
 * A socket that hears what the kernel tells udev. Nothing waits for it: whoever needs to know what has
 * happened drains it. The descriptor is not owned, as the events are heard for as long as the process
 * lives.
 */
export class UeventSocket implements UeventSource {
  readonly #fd: number;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** `undefined` where the events cannot be heard, or not all of them. */
  static open(): UeventSocket | undefined {
    if (!hearsEverything()) return undefined;
    try {
      const fd = netlinkSocket(NETLINK_KOBJECT_UEVENT);
      // Without CAP_NET_ADMIN there is less room (socket(7), net.core.rmem_max): an overrun is told.
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

  /** Throws `SystemError`. */
  drain(): readonly Uevent[] | 'overrun' {
    const events: Uevent[] = [];
    let complete = true;
    for (;;) {
      try {
        const length = receiveDatagram(this.#fd, BUFFER, ADDRESS, NAME);
        if (length === undefined) return complete ? events : 'overrun';
        // udev sends to the same group what it makes of them, and other programs could.
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
 * Reads a message of the kernel; `undefined` for what is not about a block device, and for what
 * somebody asked the kernel to say again (`udevadm trigger`; Documentation/ABI/testing/sysfs-uevent):
 * nothing has happened then. Pure.
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
 * Whether this network namespace is told of block devices: those that belong to another user namespace
 * than the first one are not (lib/kobject_uevent.c, uevent_net_init).
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
