import type { Devnum } from '../linux/devnum.js';

/**
 * One number as the kernel's `%x` takes it: blanks may precede it, it may begin with `0x` and have
 * upper-case digits, and it has no sign.
 */
const HEX = String.raw`[ \t\n\v\f\r\xa0]*(?=[0-9a-fA-F])(?:0[xX])?([0-9a-fA-F]*)`;
const DEVNUM = new RegExp(`^${HEX}:${HEX}`);

/**
 * Reads a device number as xen-blkback does, `sscanf(text, "%x:%x")`
 * (drivers/block/xen-blkback/xenbus.c, backend_changed, and lib/vsprintf.c of Linux 6.1 and 6.12).
 * Ignores what follows the second number, and drops bits that do not fit. `text` holds a character
 * for each byte (latin1). Returns `undefined` for a text that names no device.
 */
export function scanDevnum(text: string): Devnum | undefined {
  // The kernel reads a C string, which ends at the first zero byte.
  const [, major, minor] = DEVNUM.exec(text.split('\0', 1)[0] ?? '') ?? [];
  if (major === undefined || minor === undefined) return undefined;
  // MKDEV of include/linux/kdev_t.h: 12 bits of major above 20 of minor, in 32 bits.
  const number = ((lowWord(major) << 20n) | lowWord(minor)) & 0xffffffffn;
  if (number === 0n) return undefined;
  return { major: Number(number >> 20n), minor: Number(number & 0xfffffn) };
}

function lowWord(hex: string): bigint {
  return BigInt(`0x0${hex}`) & 0xffffffffn;
}
