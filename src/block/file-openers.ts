import { readlinkSync } from 'node:fs';
import type { Devnum } from '../linux/devnum.js';
import { isOpenFile } from '../linux/open-device.js';
import { isPathOnly, listDirectory, listPids, nameOfProcess, readCommand } from './process.js';

/** A process that has a file open. */
export interface FileOpener {
  readonly pid: number;
  /** For the middle of a sentence: `process 12 (qemu-system-x86)`. */
  readonly name: string;
  /** The path of the file as /proc shows it for this process. */
  readonly path: string;
  /**
   * Domain id of the guest whose device model the process is. libxl starts QEMU with this id
   * (`-xen-domid`).
   */
  readonly domid: number | undefined;
}

/**
 * Lists the processes other than this one that visibly have a file open. `device` is the number of
 * the file system. No file server is asked about the file. The domain id of a process whose command
 * line cannot be read is left out.
 */
export async function listFileOpeners(device: Devnum, inode: bigint): Promise<FileOpener[]> {
  const found = listPids().map((pid) => ({ pid, link: findOpen(pid, device, inode) }));
  return await Promise.all(
    found.flatMap(({ pid, link }) => (link === undefined ? [] : [describeOpener(pid, link)])),
  );
}

/** Returns the link of a descriptor with which another process has the file open. */
function findOpen(pid: string, device: Devnum, inode: bigint): string | undefined {
  if (Number(pid) === process.pid) return undefined;
  const fd = listDirectory(`/proc/${pid}/fd`).find(
    (one) => isOpenFile(`/proc/${pid}/fd/${one}`, device, inode) && !isPathOnly(pid, one),
  );
  return fd === undefined ? undefined : `/proc/${pid}/fd/${fd}`;
}

/**
 * Describes a process that has a file open.
 *
 * @param link the link below /proc/<pid>/fd of a descriptor with which it has the file open.
 */
export async function describeOpener(pid: string, link: string): Promise<FileOpener> {
  const command = (await readCommand(pid)) ?? '';
  const [, domid] = /\0-xen-domid\0(\d{1,5})\0/.exec(command) ?? [];
  return {
    pid: Number(pid),
    name: nameOfProcess(pid),
    path: readLink(link),
    domid: domid === undefined ? undefined : Number(domid),
  };
}

function readLink(link: string): string {
  try {
    return readlinkSync(link);
  } catch {
    return '';
  }
}
