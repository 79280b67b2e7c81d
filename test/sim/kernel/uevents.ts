import type { Disk } from './nodes.js';

/** What the kernel tells of a block device. */
export type UeventAction = 'add' | 'change' | 'remove';

/** The messages that wait for the reader of one netlink socket. */
export interface UeventQueue {
  readonly messages: string[];
  /** Whether messages were lost since the last read. */
  isOverrun: boolean;
}

/** The sockets on which the kernel tells of its block devices (lib/kobject_uevent.c). */
export class Uevents {
  readonly #queues = new Set<UeventQueue>();
  readonly #isLost: () => boolean;

  /** @param isLost Tells of each message whether a socket has no room for it. */
  constructor(isLost: () => boolean) {
    this.#isLost = isLost;
  }

  open(): UeventQueue {
    const queue = { messages: [], isOverrun: false };
    this.#queues.add(queue);
    return queue;
  }

  close(queue: UeventQueue): void {
    this.#queues.delete(queue);
  }

  /** Tells all sockets of a device, before the call returns that has caused the event. */
  tell(action: UeventAction, { name, directory, devnum, partition }: Disk): void {
    const devpath = directory.slice('/sys'.length);
    const fields = [
      ...[`${action}@${devpath}`, `ACTION=${action}`, `DEVPATH=${devpath}`, 'SUBSYSTEM=block'],
      ...[`MAJOR=${devnum.major}`, `MINOR=${devnum.minor}`, `DEVNAME=${name}`],
      `DEVTYPE=${partition ? 'partition' : 'disk'}`,
    ];
    for (const queue of this.#queues) {
      if (this.#isLost()) queue.isOverrun = true;
      else queue.messages.push(fields.map((field) => `${field}\0`).join(''));
    }
  }
}
