import { quote } from '../util/one-line.js';
import { UsageError } from './usage-error.js';

const UNITS = 'KMGT';
/** Of an off_t, and of what a double holds exactly. */
const LARGEST = 2n ** 53n - 1n;

/** Reads `10G` or a number of bytes. Throws `UsageError`. */
export function parseSize(text: string): bigint {
  const [, digits, unit = ''] = /^([1-9]\d{0,15})([KMGT]?)$/.exec(text) ?? [];
  const power = unit === '' ? 0 : UNITS.indexOf(unit) + 1;
  const bytes = digits === undefined ? 0n : BigInt(digits) * 1024n ** BigInt(power);
  if (bytes > 0n && bytes <= LARGEST) return bytes;
  throw new UsageError(
    `size ${quote(text)}: bytes are needed, or K, M, G or T behind the number, which are powers of 1024`,
  );
}
