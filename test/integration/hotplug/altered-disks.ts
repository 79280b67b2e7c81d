import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';

const LOOP_CHANGE_FD = 0x4c06;

/** Writes a text at a byte position of a file. The other bytes of the file stay. */
export function writeAt(file: string, position: number, text: string): void {
  writeFileSync(
    file,
    Buffer.concat([readFileSync(file).subarray(0, position), Buffer.from(text)]),
    { flag: 'r+' },
  );
}

/**
 * Adds a partition; start and length are in sectors. The kernel needs no partition table for this.
 */
export function addPartition(disk: string, number: number, start: number, length: number): void {
  execFileSync('addpart', [disk, number, start, length].map(String));
}

/** Puts another file behind a read-only loop device, even while the device is open. */
export function exchangeBacking(loop: string, file: string): void {
  const program = `
import fcntl, os, sys
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), ${LOOP_CHANGE_FD}, os.open(sys.argv[2], os.O_RDONLY))
`;
  execFileSync('python3', ['-c', program, loop, file]);
}

/** Detaches a loop device of the test's own whose diskseq has changed meanwhile. */
export function exchanged(loop: string): void {
  execFileSync('losetup', ['--detach', loop]);
}
