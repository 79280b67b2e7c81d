import { didYouMean } from '../util/did-you-mean.js';
import { quote } from '../util/one-line.js';
import { COMMANDS, type Command } from './commands.js';
import { describeCommand, describeCommands } from './help.js';
import { OPTIONS } from './options.js';
import { print } from './output.js';
import { isOption, parseWords, takeCommand } from './parse-words.js';
import { printUsageError } from './result.js';
import { UsageError } from './usage-error.js';

const USUAL_WIDTH = 80;

/** Parses a command line and runs its command; returns the exit status. */
export async function runCommandLine(words: readonly string[]): Promise<number> {
  const { command: name, rest } = takeCommand(words);
  const json = words.includes('--json');
  try {
    if (asksForHelp(name, rest)) return printHelp(name === 'help' ? rest : [name, ...rest]);
    if (name === undefined) throw withoutCommand(rest);
    const command = requireCommand(name);
    const { operand, options, run } = command;
    const operands = operand === undefined ? 0 : mostOperands(operand);
    const parsed = parseWords(rest, { name, options, operands });
    if (operand?.startsWith('[') === false && parsed.operands.length === 0) {
      throw new UsageError(`${name} needs an argument: xen-blkback ${name} ${operand}`);
    }
    return await run(parsed);
  } catch (error) {
    const about = name !== undefined && Object.hasOwn(COMMANDS, name) ? `help ${name}` : 'help';
    return printUsageError({ json }, error, `xen-blkback ${about}`);
  }
}

/** Returns the error for words without a command, of which one may be no option of any command. */
function withoutCommand(words: readonly string[]): UsageError {
  const unknown = words.find((word) => /^-./.test(word) && word !== '--' && !isOption(word));
  if (unknown === undefined) return new UsageError('a command is needed');
  const [name = ''] = unknown.split('=');
  if (name === '--version') return new UsageError('--version stands alone');
  const known = [...Object.keys(OPTIONS).map((option) => `--${option}`), '--help', '--version'];
  return new UsageError(`there is no option ${quote(name).slice(1, -1)}${didYouMean(name, known)}`);
}

/** Returns the largest number of operands: any number for `[SCRIPT…]`, two for `VBD [SIZE]`. */
function mostOperands(operand: string): number {
  return operand.includes('…') ? Infinity : operand.split(' ').length;
}

function asksForHelp(name: string | undefined, rest: readonly string[]): boolean {
  if (name === 'help') return true;
  const end = rest.indexOf('--');
  const before = end < 0 ? rest : rest.slice(0, end);
  return before.some((word) => word === '--help' || word === '-h');
}

function printHelp(words: readonly (string | undefined)[]): number {
  const name = words.find((word) => word !== undefined && !word.startsWith('-'));
  const width = process.stdout.columns ?? USUAL_WIDTH;
  if (name === undefined || name === 'help') print(describeCommands(width));
  else print(describeCommand(name, requireCommand(name), width));
  return 0;
}

function requireCommand(name: string): Command {
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command !== undefined) return command;
  const known = [...Object.keys(COMMANDS), 'help'];
  const shown = quote(name);
  throw new UsageError(`there is no command ${shown}${didYouMean(name, known)}`);
}
