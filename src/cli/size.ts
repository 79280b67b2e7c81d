import { quote } from '../util/one-line.js';
import { UsageError } from './usage-error.js';

const UNITS = 'KMGT';
/** The largest size; bytes. An off_t can hold it, and a double holds it exactly. */
const LARGEST = 2n ** 53n - 1n;

/** Parses a size such as `10G`, or a number of bytes. Returns bytes. Throws `UsageError`. */
export function parseSize(text: string): bigint {
  const [, digits, unit = ''] = /^([1-9]\d{0,15})([KMGT]?)$/.exec(text) ?? [];
  const power = unit === '' ? 0 : UNITS.indexOf(unit) + 1;
  const bytes = digits === undefined ? 0n : BigInt(digits) * 1024n ** BigInt(power);
  if (bytes > 0n && bytes <= LARGEST) return bytes;
  throw new UsageError(
    `size ${quote(text)}: bytes are needed, or K, M, G or T behind the number, which are powers of 1024`,
  );
}
