import { KnownDirectory } from '../../linux/directory.js';
import { isInMemory } from '../../linux/memory-file.js';
import { readAttribute } from '../../linux/sysfs.js';

/** Most spares in a list: each costs some system calls, and few of them are tried. */
const MOST_SPARES = 16;

/** An unbound loop device at the time when it was seen. */
export interface SpareLoop {
  readonly number: number;
  /** Disk sequence number at that time. Binding and unbinding the device both change the number. */
  readonly diskseq: string;
}

const disks = new KnownDirectory<number>('/sys/block');

/** Lists the numbers of all loop devices. Throws `SystemError`. */
export function listLoops(): number[] {
  return disks.list((name) => {
    const [, number] = /^loop(\d+)$/.exec(name) ?? [];
    return number === undefined ? undefined : { value: Number(number), lasting: true };
  });
}

/**
 * Lists some unbound loop devices, in random order. Devices for which `isTaken` returns true are
 * left out. Throws `SystemError`.
 */
export function listSpareLoops(isTaken: (number: number) => boolean): SpareLoop[] {
  const spares: SpareLoop[] = [];
  for (const number of shuffle(listLoops())) {
    if (spares.length === MOST_SPARES) break;
    const spare = { number, diskseq: readDiskseq(number) };
    if (!isTaken(number) && isStillSpare(spare)) spares.push(spare);
  }
  return spares;
}

/** Tells whether a loop device is unbound, and has not been bound since it was seen. */
export function isStillSpare({ number, diskseq }: SpareLoop): boolean {
  const isBound = isInMemory(`/sys/block/loop${number}/loop/backing_file`);
  return !isBound && diskseq !== '' && readDiskseq(number) === diskseq;
}

function readDiskseq(number: number): string {
  return readAttribute(`/sys/block/loop${number}`, 'diskseq') ?? '';
}

function shuffle(numbers: number[]): number[] {
  for (let last = numbers.length - 1; last > 0; last--) {
    const other = Math.floor(Math.random() * (last + 1));
    [numbers[last], numbers[other]] = [numbers[other] ?? 0, numbers[last] ?? 0];
  }
  return numbers;
}
