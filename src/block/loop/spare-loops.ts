import { readdirSync } from 'node:fs';
import { isInMemory } from '../../linux/memory-file.js';
import { readAttribute } from '../../linux/sysfs.js';

/** So many are looked at: each costs some calls, and few are tried. */
const MOST_SPARES = 16;

/** An unbound loop device as it was seen. */
export interface SpareLoop {
  readonly number: number;
  /** Each binding gives it another one, and so does each end of one. */
  readonly diskseq: string;
}

/** Numbers of all loop devices that there are. */
export function listLoops(): number[] {
  const numbers = readdirSync('/sys/block').map((name) => /^loop(\d+)$/.exec(name)?.[1]);
  return numbers.filter((text) => text !== undefined).map(Number);
}

/** Some unbound loop devices, drawn from all but those that are taken. */
export function listSpareLoops(isTaken: (number: number) => boolean): SpareLoop[] {
  const spares: SpareLoop[] = [];
  for (const number of shuffle(listLoops())) {
    if (spares.length === MOST_SPARES) break;
    const spare = { number, diskseq: readDiskseq(number) };
    if (!isTaken(number) && isStillSpare(spare)) spares.push(spare);
  }
  return spares;
}

/** Whether a loop device is unbound, and has been since it was seen. */
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
