import { readFileSync } from 'node:fs';
import { decodePath } from '../util/path-bytes.js';

/** The character in whose place Node.js puts bytes that are not UTF-8. */
const REPLACEMENT = '\ufffd';

/**
 * Returns the words of the command line as `decodePath` makes them, so that a path may have any
 * bytes. Node.js loses those that are not UTF-8, and the kernel has them still.
 */
export function readWords(): string[] {
  const words = process.argv.slice(2);
  if (!words.some((word) => word.includes(REPLACEMENT))) return words;
  const all = readCommandLine();
  const own = all.slice(all.length - words.length);
  const isSame = own.every((bytes, index) => bytes.toString('utf8') === words[index]);
  return isSame && own.length === words.length ? own.map(decodePath) : words;
}

/** Returns the words with which this process was started, each of which ends with a NUL. */
function readCommandLine(): Buffer[] {
  try {
    const text = readFileSync('/proc/self/cmdline', 'latin1');
    return text
      .split('\0')
      .slice(0, -1)
      .map((word) => Buffer.from(word, 'latin1'));
  } catch {
    // procfs is not mounted.
    return [];
  }
}
