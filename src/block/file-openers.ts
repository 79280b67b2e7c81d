import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import type { Devnum } from '../linux/devnum.js';
import { isOpenFile } from '../linux/open-device.js';

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
 * the file system. No file server is asked about the file.
 */
export function listFileOpeners(device: Devnum, inode: bigint): FileOpener[] {
  const pids = listNames('/proc').filter((name) => /^\d+$/.test(name));
  return pids.flatMap((pid) => {
    if (Number(pid) === process.pid) return [];
    const links = listNames(`/proc/${pid}/fd`).map((fd) => `/proc/${pid}/fd/${fd}`);
    const link = links.find((one) => isOpenFile(one, device, inode));
    return link === undefined ? [] : [describe(pid, link)];
  });
}

function describe(pid: string, link: string): FileOpener {
  const command = read(`/proc/${pid}/cmdline`);
  const [, domid] = /\0-xen-domid\0(\d{1,5})\0/.exec(command) ?? [];
  return {
    pid: Number(pid),
    name: `process ${pid} (${read(`/proc/${pid}/comm`).trim()})`,
    path: readLink(link),
    domid: domid === undefined ? undefined : Number(domid),
  };
}

function listNames(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function readLink(link: string): string {
  try {
    return readlinkSync(link);
  } catch {
    return '';
  }
}
