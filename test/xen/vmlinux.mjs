// Writes the kernel inside of a bzImage to stdout, unpacked: `node vmlinux.mjs vmlinuz`.
// Documentation/arch/x86/boot.rst of Linux has the header's fields.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

const PROGRAMS = { fd377a58: ['xz', '-dc'], '28b52ffd': ['zstd', '-dcq'] };

const image = readFileSync(process.argv[2]);
const setupSectors = image.readUInt8(0x1f1);
const offset = (setupSectors + 1) * 512 + image.readUInt32LE(0x248);
const length = image.readUInt32LE(0x24c);
if (image.toString('latin1', 0x202, 0x206) !== 'HdrS') {
  throw new Error(`${process.argv[2]} is no bzImage`);
}
const magic = image.toString('hex', offset, offset + 4);
const program = PROGRAMS[magic];
if (program === undefined) {
  throw new Error(`the kernel in ${process.argv[2]} is packed in an unknown way: ${magic}`);
}
// The last four bytes are the unpacked size, and not the packer's.
const input = image.subarray(offset, offset + length - 4);
const { status } = spawnSync(program[0], program.slice(1), {
  input,
  stdio: ['pipe', 'inherit', 'inherit'],
});
process.exitCode = status ?? 1;
