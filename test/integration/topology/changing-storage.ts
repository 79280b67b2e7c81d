import { execFileSync } from 'node:child_process';
import { closeSync, openSync, readFileSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import { ioctl, ioctlSync } from '../../../src/linux/calls.js';
import { type Devnum, devnumFromStat } from '../../../src/linux/devnum.js';
import { SystemError } from '../../../src/linux/errno.js';
import { O_NONBLOCK, O_RDONLY, O_RDWR, OwnedFd } from '../../../src/linux/fd.js';
import {
  clearLoop,
  configureLoop,
  getFreeLoop,
  LO_FLAGS_READ_ONLY,
} from '../../../src/linux/loop-ioctl.js';

const LOOP_CHANGE_FD = { name: 'LOOP_CHANGE_FD', number: 0x4c06 };
const LOOP_SET_STATUS64 = { name: 'LOOP_SET_STATUS64', number: 0x4c04 };
const LOOP_GET_STATUS64 = { name: 'LOOP_GET_STATUS64', number: 0x4c05 };
const [INFO_SIZE, OFFSET, SIZE_LIMIT] = [232, 24, 32];

/**
 * A loop device that a test binds, changes and unbinds. The device keeps its number. Other tests
 * run on the same machine, so the diskseq shows whether the device is still this test's own.
 */
export class ChangingLoop {
  readonly path: string;
  readonly devnum: Devnum;
  #diskseq = '';

  private constructor(path: string) {
    this.path = path;
    this.devnum = devnumFromStat(statSync(path, { bigint: true }).rdev);
  }

  /** Binds a free loop device to a file or device. */
  static async bind(file: string, options: BindOptions = {}): Promise<ChangingLoop> {
    for (;;) {
      const control = OwnedFd.openSync('/dev/loop-control', O_RDWR);
      const loop = new ChangingLoop(`/dev/loop${await getFreeLoop(control)}`);
      await control.close();
      if (await loop.rebind(file, options)) return loop;
    }
  }

  /** Binds the same number again. Returns `false` if another process has bound it meanwhile. */
  async rebind(file: string, { readOnly = false, offset = 0, size = 0 }: BindOptions = {}) {
    const backing = openSync(file, readOnly ? O_RDONLY : O_RDWR);
    try {
      await using loop = await OwnedFd.open(this.path, O_RDWR);
      await configureLoop(loop, {
        backingFd: backing,
        blockSize: 512,
        offset: BigInt(offset),
        sizeLimit: BigInt(size),
        flags: readOnly ? LO_FLAGS_READ_ONLY : 0,
        fileName: file,
      });
      this.#diskseq = this.#readDiskseq();
      return true;
    } catch (error) {
      if (error instanceof SystemError) return false;
      throw error;
    } finally {
      closeSync(backing);
    }
  }

  /** Tells whether this test has bound the device, and nobody has unbound it since. */
  get #isOurs(): boolean {
    return this.#diskseq !== '' && this.#readDiskseq() === this.#diskseq;
  }

  #readDiskseq(): string {
    return readFileSync(`/sys/block/${basename(this.path)}/diskseq`, 'latin1');
  }

  /** Moves the window of the device; offset and size are in bytes. */
  async move(offset: number, size: number): Promise<void> {
    if (!this.#isOurs) return;
    await using loop = await OwnedFd.open(this.path, O_RDONLY | O_NONBLOCK);
    const info = Buffer.alloc(INFO_SIZE);
    await ioctl(loop.fd, LOOP_GET_STATUS64, info, loop.name);
    info.writeBigUInt64LE(BigInt(offset), OFFSET);
    info.writeBigUInt64LE(BigInt(size), SIZE_LIMIT);
    await ioctl(loop.fd, LOOP_SET_STATUS64, info, loop.name);
  }

  /** Exchanges the file of a read-only device. Returns `false` if the kernel refuses. */
  async exchange(file: string): Promise<boolean> {
    if (!this.#isOurs) return false;
    const backing = openSync(file, O_RDONLY);
    try {
      await using loop = await OwnedFd.open(this.path, O_RDONLY | O_NONBLOCK);
      ioctlSync(loop.fd, LOOP_CHANGE_FD, backing, loop.name);
      this.#diskseq = this.#readDiskseq();
      return true;
    } catch (error) {
      if (error instanceof SystemError) return false;
      throw error;
    } finally {
      closeSync(backing);
    }
  }

  /**
   * Unbinds the device, and deletes its partitions, which would outlive the unbinding. The kernel
   * unbinds the device after its last close.
   */
  async clear(): Promise<void> {
    for (const number of [1, 2]) this.deletePartition(number);
    if (!this.#isOurs) return;
    try {
      await using loop = await OwnedFd.open(this.path, O_RDONLY | O_NONBLOCK);
      await clearLoop(loop);
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
    }
  }

  addPartition(number: number, start: number, sectors: number): boolean {
    return this.#isOurs && run('addpart', this.path, `${number}`, `${start}`, `${sectors}`);
  }

  resizePartition(number: number, sectors: number): boolean {
    return this.#isOurs && run('resizepart', this.path, `${number}`, `${sectors}`);
  }

  deletePartition(number: number): boolean {
    return this.#isOurs && run('delpart', this.path, `${number}`);
  }
}

/** The options of a binding. */
export interface BindOptions {
  readonly readOnly?: boolean;
  /** The offset in bytes. */
  readonly offset?: number;
  /** The size in bytes; 0 means the rest of the file. */
  readonly size?: number;
}

function run(program: string, ...args: string[]): boolean {
  try {
    execFileSync(program, args, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Returns the number of a block device node, or `undefined` if there is none. */
export function devnumOfNode(path: string): Devnum | undefined {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false });
  return found?.isBlockDevice() ? devnumFromStat(found.rdev) : undefined;
}

/** A source of random choices, which are the same each time for one seed. */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  /** Returns an integer from 0 to `end` - 1. */
  below(end: number): number {
    // This is the generator of Numerical Recipes. Its upper bits are good enough here.
    this.#state = (Math.imul(this.#state, 1664525) + 1013904223) >>> 0;
    return Math.floor((this.#state / 2 ** 32) * end);
  }

  choose<T>(values: readonly T[]): T {
    const value = values[this.below(values.length)];
    if (value === undefined) throw new Error('nothing to choose from');
    return value;
  }

  /** Returns true once in so many times. */
  once(times: number): boolean {
    return this.below(times) === 0;
  }
}
