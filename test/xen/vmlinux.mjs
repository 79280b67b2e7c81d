// Writes the compressed kernel inside of a bzImage to stdout: `node vmlinux.mjs vmlinuz`.
// Documentation/x86/boot.rst of Linux 6.1 has the header's fields.
import { readFileSync } from 'node:fs';

const image = readFileSync(process.argv[2]);
const setupSectors = image.readUInt8(0x1f1);
const offset = (setupSectors + 1) * 512 + image.readUInt32LE(0x248);
const length = image.readUInt32LE(0x24c);
if (image.toString('latin1', 0x202, 0x206) !== 'HdrS' && image.readUInt32LE(0x202) !== 0x53726448) {
  throw new Error(`${process.argv[2]} is no bzImage`);
}
// The last four bytes are the unpacked size, not xz's.
process.stdout.write(image.subarray(offset, offset + length - 4));
