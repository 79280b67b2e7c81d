/** A device number. Linux has 12 bits for the major and 20 bits for the minor number. */
export interface Devnum {
  readonly major: number;
  readonly minor: number;
}

/** The major number of loop devices (Documentation/admin-guide/devices.txt). */
export const LOOP_MAJOR = 7;

/** Splits a dev_t of stat(2) on Linux (glibc's makedev layout). */
export function devnumFromStat(dev: bigint): Devnum {
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & 0xfffff000n);
  const minor = (dev & 0xffn) | ((dev >> 12n) & 0xffffff00n);
  return { major: Number(major), minor: Number(minor) };
}

/** Tells whether two device numbers are the same. */
export function sameDevnum(a: Devnum, b: Devnum): boolean {
  return a.major === b.major && a.minor === b.minor;
}

/**
 * Returns a unique number for each device, as a key of tables. A thousand look-ups with text keys
 * would have to make a thousand texts.
 */
export function devnumKey({ major, minor }: Devnum): number {
  return major * 2 ** 20 + minor;
}

/** Formats a device number as decimal `major:minor`, as sysfs and people write it. */
export function formatDevnum({ major, minor }: Devnum): string {
  return `${major}:${minor}`;
}

/**
 * Formats a device number as `major:minor` in lower-case hex without padding, the form of the
 * XenStore node `physical-device`.
 */
export function formatDevnumHex({ major, minor }: Devnum): string {
  return `${major.toString(16)}:${minor.toString(16)}`;
}

/** Reads the form of `formatDevnumHex`. Returns `undefined` for any other text. */
export function parseDevnumHex(text: string): Devnum | undefined {
  const match = /^([0-9a-f]{1,3}):([0-9a-f]{1,5})$/.exec(text);
  if (!match?.[1] || !match[2]) return undefined;
  return { major: Number.parseInt(match[1], 16), minor: Number.parseInt(match[2], 16) };
}

/** Reads the decimal form of the `dev` files in sysfs. Returns `undefined` for any other text. */
export function parseDevnum(text: string): Devnum | undefined {
  const match = /^(\d{1,4}):(\d{1,7})$/.exec(text.trim());
  return match ? { major: Number(match[1]), minor: Number(match[2]) } : undefined;
}
