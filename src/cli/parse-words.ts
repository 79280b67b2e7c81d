// The grammar of the command line. Pure.

import { didYouMean } from '../util/did-you-mean.js';
import { quote } from '../util/one-line.js';
import { OPTIONS, type OptionName, optionOf } from './options.js';
import { UsageError } from './usage-error.js';

/** What stands after the name of a command. */
export interface ParsedWords {
  /** The values of options; of a switch `yes`. */
  readonly options: Readonly<Partial<Record<OptionName, string>>>;
  readonly operands: readonly string[];
}

/** What a command accepts. */
export interface Accepted {
  readonly name: string;
  readonly options: readonly OptionName[];
  /** The most that there may be. */
  readonly operands: number;
}

const ALL_OPTIONS = Object.keys(OPTIONS) as OptionName[];

/**
 * Takes the name of the command out of a command line: its first word that is no option. Options that stand
 * before it count as if they stood behind it.
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

/** Reads the words of one command. Throws `UsageError` for what the command does not accept. */
export function parseWords(words: readonly string[], accepted: Accepted): ParsedWords {
  const options: Partial<Record<OptionName, string>> = {};
  const operands: string[] = [];
  const rest = [...words];
  while (rest.length > 0) {
    const word = rest.shift() ?? '';
    if (word === '--') operands.push(...rest.splice(0));
    else if (!word.startsWith('-') || word === '-') operands.push(word);
    else {
      const { name, value } = requireOption(word, accepted);
      // The last one counts where one is given twice, as is usual.
      options[name] = readValue(name, value, () => rest.shift());
    }
  }
  const surplus = operands[accepted.operands];
  if (surplus !== undefined) {
    throw new UsageError(
      `${accepted.name} takes ${accepted.operands === 0 ? 'no argument' : 'one argument'}: ${quote(surplus)} is one too many`,
    );
  }
  return { options, operands };
}

/** The option that a word stands for, and the value that the word brings with it. */
function splitOption(word: string): { name: OptionName | undefined; value: string | undefined } {
  const [, long, value] = /^--([^=]+)(?:=(.*))?$/s.exec(word) ?? [];
  const name = ALL_OPTIONS.find((name) =>
    long === undefined ? `-${optionOf(name).letter}` === word : name === long,
  );
  return { name, value };
}

function requireOption(
  word: string,
  { name: command, options }: Accepted,
): { name: OptionName; value: string | undefined } {
  const { name, value } = splitOption(word);
  if (name !== undefined && options.includes(name)) return { name, value };
  const written = word.replace(/=.*/s, '');
  if (name !== undefined) throw new UsageError(`${command} has no option ${written}`);
  const known = [...options.map((option) => `--${option}`), '--help'];
  throw new UsageError(
    `${command} has no option ${quote(written).slice(1, -1)}${didYouMean(written, known)}`,
  );
}

function readValue(
  name: OptionName,
  value: string | undefined,
  next: () => string | undefined,
): string {
  const { value: wanted, choices } = optionOf(name);
  if (wanted === undefined) {
    if (value === undefined) return 'yes';
    throw new UsageError(`--${name} takes no value: ${quote(value)} is one too many`);
  }
  const text = value ?? next();
  if (text === undefined || (value === undefined && text.startsWith('--'))) {
    throw new UsageError(`--${name} needs a value: --${name} ${wanted}`);
  }
  if (choices?.includes(text) === false) {
    throw new UsageError(`${name} ${quote(text)}: ${choices.join(' or ')} is needed`);
  }
  return text;
}
