// The grammar of the command line.

import yargs from 'yargs';
import { errorMessage } from '../errors.js';
import { didYouMean } from '../util/did-you-mean.js';
import { quote } from '../util/one-line.js';
import { OPTIONS, type OptionName, optionOf } from './options.js';
import { UsageError } from './usage-error.js';

/** The parsed words after the name of a command. */
export interface ParsedWords {
  /** The values of the options. The value of a switch is `yes`. */
  readonly options: Readonly<Partial<Record<OptionName, string>>>;
  readonly operands: readonly string[];
}

/** The options and operands that a command accepts. */
export interface Accepted {
  readonly name: string;
  readonly options: readonly OptionName[];
  /** The largest number of operands. */
  readonly operands: number;
}

const ALL_OPTIONS = Object.keys(OPTIONS) as OptionName[];

/**
 * Splits a command line into the name of the command and the other words. The name is the first
 * word that is no option. Options before the name count as if they followed it.
 */
export function takeCommand(words: readonly string[]): {
  readonly command: string | undefined;
  readonly rest: readonly string[];
} {
  let at = 0;
  while (at < words.length && words[at] !== '--' && words[at]?.startsWith('-')) {
    const { name, value } = splitOption(words[at] ?? '');
    const takesNext = name !== undefined && value === undefined && optionOf(name).value;
    at += takesNext ? 2 : 1;
  }
  return { command: words[at], rest: [...words.slice(0, at), ...words.slice(at + 1)] };
}

/** Parses the words of one command. Throws `UsageError` for words that it does not accept. */
export function parseWords(words: readonly string[], accepted: Accepted): ParsedWords {
  for (const word of beforeEnd(words)) {
    refuseValueOfSwitch(word, accepted);
    refuseInherited(word, accepted);
  }
  const { _: operands, $0: _program, ...values } = runYargs(words, accepted);
  const options: Partial<Record<OptionName, string>> = {};
  for (const [key, value] of Object.entries(values)) {
    const name = accepted.options.find((option) => option === key);
    if (name === undefined) throw unknownOption(key, accepted);
    const text = readValue(name, value);
    if (text !== undefined) options[name] = text;
  }
  const surplus = operands[accepted.operands];
  if (surplus !== undefined) {
    throw new UsageError(
      `${accepted.name} takes ${['no argument', 'one argument'][accepted.operands] ?? `${accepted.operands} arguments`}: ${quote(String(surplus))} is one too many`,
    );
  }
  return { options, operands: operands.map(String) };
}

/**
 * Parses the words with yargs. The caller checks the result, so that errors are sentences of our
 * own.
 */
function runYargs(words: readonly string[], { options }: Accepted) {
  const table = Object.fromEntries(
    options.map((name) => {
      const { value, letter } = optionOf(name);
      const alias = letter === undefined ? {} : { alias: letter };
      const type = value === undefined ? ('boolean' as const) : ('string' as const);
      return [name, { ...alias, type, requiresArg: value !== undefined }];
    }),
  );
  try {
    return yargs([...words])
      .parserConfiguration({
        'boolean-negation': false,
        'camel-case-expansion': false,
        'dot-notation': false,
        // The last value counts if an option is given twice, as is usual.
        'duplicate-arguments-array': false,
        'parse-numbers': false,
        'parse-positional-numbers': false,
        'short-option-groups': false,
        'strip-aliased': true,
      })
      .options(table)
      .help(false)
      .version(false)
      .exitProcess(false)
      .fail(false)
      .parseSync();
  } catch (error) {
    // The message of yargs is "Not enough arguments following: NAME", or the names of several, or
    // their letters.
    const [, first] = /: ([\w-]+)(, [\w-]+)*$/.exec(errorMessage(error)) ?? [];
    const name = options.find((one) => one === first || optionOf(one).letter === first);
    if (first === undefined || name === undefined) throw error;
    throw new UsageError(`--${name} needs a value: --${name} ${optionOf(name).value}`);
  }
}

function beforeEnd(words: readonly string[]): readonly string[] {
  const end = words.indexOf('--');
  return end < 0 ? words : words.slice(0, end);
}

/** Returns the option that a word names, and the value after `=` in the word. */
function splitOption(word: string): { name: OptionName | undefined; value: string | undefined } {
  const [, long, value] = /^--([^=]+)(?:=(.*))?$/s.exec(word) ?? [];
  const name = ALL_OPTIONS.find((name) =>
    long === undefined ? `-${optionOf(name).letter}` === word : name === long,
  );
  return { name, value };
}

/** Tells whether a word is an option of any command. */
export function isOption(word: string): boolean {
  return splitOption(word).name !== undefined;
}

function refuseValueOfSwitch(word: string, { options }: Accepted): void {
  const { name, value } = splitOption(word);
  if (name === undefined || value === undefined || !options.includes(name)) return;
  if (optionOf(name).value === undefined) {
    throw new UsageError(`--${name} takes no value: ${quote(value)} is one too many`);
  }
}

/** Refuses the names that every object has, such as `toString`: yargs takes them for its own. */
function refuseInherited(word: string, accepted: Accepted): void {
  const [, key = ''] = /^--?([^=]+)/.exec(word) ?? [];
  if (Object.hasOwn(Object.prototype, key)) throw unknownOption(key, accepted);
}

function unknownOption(key: string, { name: command, options }: Accepted): UsageError {
  // yargs renames this key to protect the prototype.
  const plain = key === '___proto___' ? '__proto__' : key;
  const written = plain.length === 1 ? `-${plain}` : `--${plain}`;
  if (ALL_OPTIONS.some((name) => name === plain)) {
    return new UsageError(`${command} has no option ${written}`);
  }
  const known = [...options.map((option) => `--${option}`), '--help'];
  return new UsageError(
    `${command} has no option ${quote(written).slice(1, -1)}${didYouMean(written, known)}`,
  );
}

/** Returns the text of an option's value, or `undefined` for a switch that was not given. */
function readValue(name: OptionName, value: unknown): string | undefined {
  const { value: wanted, choices } = optionOf(name);
  if (wanted === undefined) return value === true ? 'yes' : undefined;
  const text = String(value);
  if (choices?.includes(text) === false) {
    throw new UsageError(`${name} ${quote(text)}: ${choices.join(' or ')} is needed`);
  }
  return text;
}
