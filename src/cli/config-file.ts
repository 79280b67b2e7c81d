// The grammar of the configuration file, which docs/configuration.md describes.
// native/client-settings.c reads the same file. Pure.

import { quote } from '../util/one-line.js';
import { ConfigError } from './usage-error.js';

/** One line `key = value` of a file. */
export interface ConfigLine {
  readonly key: string;
  readonly value: string;
  /** The number of the line, counted from 1. */
  readonly line: number;
}

/** The largest size of a configuration file; bytes. */
export const LONGEST_FILE = 65_536;

/**
 * Parses the text of a configuration file. Returns the valid lines, and a `ConfigError` for each
 * invalid line.
 */
export function parseConfig(
  file: string,
  text: string,
): { readonly lines: readonly ConfigLine[]; readonly errors: readonly ConfigError[] } {
  const lines: ConfigLine[] = [];
  const errors: ConfigError[] = [];
  if (Buffer.byteLength(text) > LONGEST_FILE) return { lines, errors: [tooLongError(file)] };
  for (const [index, raw] of text.split('\n').entries()) {
    const line = index + 1;
    const content = raw.replace(/^[ \t]+|[ \t\r]+$/g, '');
    if (content === '' || content.startsWith('#')) continue;
    const parsed = parseLine(content);
    if (typeof parsed === 'string')
      errors.push(new ConfigError(`${file} line ${line}: ${parsed}`, { line }));
    else lines.push({ ...parsed, line });
  }
  return { lines, errors };
}

/** Returns the error for a file that is larger than any configuration file. */
export function tooLongError(file: string): ConfigError {
  return new ConfigError(
    `${file}: at most ${LONGEST_FILE} bytes are expected: this is no configuration file`,
  );
}

/** Returns the key and the value of a trimmed line, or a sentence that says what is wrong. */
function parseLine(content: string): Omit<ConfigLine, 'line'> | string {
  if (content.includes('\0')) return 'the line contains a NUL byte';
  const [, key, rest] = /^([\w-]+)[ \t]*=[ \t]*(.*)$/.exec(content) ?? [];
  if (key === undefined || rest === undefined) {
    return `KEY=VALUE is expected, not ${quote(content)}`;
  }
  const mark = rest[0];
  if (mark !== '"' && mark !== "'") {
    const value = rest.replace(/(^|[ \t]+)#.*$/, '');
    return value === '' ? `${key} has no value: write it, or remove the line` : { key, value };
  }
  const end = rest.indexOf(mark, 1);
  if (end < 0) return `the value of ${key} begins with ${mark} and does not end with it`;
  if (!/^([ \t]*|[ \t]+#.*)$/.test(rest.slice(end + 1))) {
    return `after the value of ${key}, which ends with ${mark}, the line is expected to end`;
  }
  const value = rest.slice(1, end);
  return value === '' ? `${key} has no value: write it, or remove the line` : { key, value };
}
