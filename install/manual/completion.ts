import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { COMMANDS, type Command } from '../../src/cli/commands.js';
import { OPTIONS, type OptionName, optionOf } from '../../src/cli/options.js';

/** Returns the completion script for a shell. The script does not run any of our programs. */
export async function planCompletion(project: string, shell: 'bash' | 'zsh'): Promise<string> {
  const template = await readFile(join(project, `install/completion/xen-blkback.${shell}`), 'utf8');
  const values = shell === 'bash' ? forBash() : forZsh();
  return template.replace(/^ *# @([A-Z]+)@\n/gm, (_, name: string) => {
    const value = values[name];
    if (value === undefined) throw new Error(`nothing is known for @${name}@`);
    return `${value}\n`;
  });
}

const NAMES = Object.keys(OPTIONS) as OptionName[];

/** Returns the possible values of an option: words, a kind of object, or anything. */
function valuesOf(
  name: OptionName,
): readonly string[] | 'files' | 'directories' | 'domains' | 'any' {
  const { value = '' } = optionOf(name);
  if (value.includes('|')) return value.split('|');
  if (value === 'DIR') return 'directories';
  if (value === 'FILE' || value === 'PATH') return 'files';
  return value === 'DOMID' ? 'domains' : 'any';
}

/** Returns the kind of objects that the argument of a command names. */
function argumentOf({
  operand = '',
}: Command): 'vbds' | 'targets' | 'domains' | 'scripts' | undefined {
  const kinds = { VBD: 'vbds', TARGET: 'targets', DOMAIN: 'domains', SCRIPT: 'scripts' } as const;
  const [word] = operand.match(/[A-Z]+/) ?? [];
  return Object.entries(kinds).find(([name]) => name === word)?.[1];
}

function forBash(): Record<string, string> {
  const values = NAMES.filter((name) => optionOf(name).value !== undefined).map((name) => {
    const found = valuesOf(name);
    const words =
      typeof found === 'string'
        ? `_xen_blkback_${found}`
        : `_xen_blkback_words '${found.join(' ')}'`;
    return `    --${name}${withLetter(name, '|')}) ${words}; return ;;`;
  });
  const commands = Object.entries(COMMANDS);
  const options = commands.map(([name, { options }]) => {
    const list = [...options, 'help'].map((option) => `--${option}`).join(' ');
    return `    ${name}) options='${list}' ;;`;
  });
  const operands = commands.flatMap(([name, command]) => {
    const found = argumentOf(command);
    return found === undefined ? [] : [`    ${name}) _xen_blkback_${found} ;;`];
  });
  return {
    COMMANDS: `  local commands='${[...commands.map(([name]) => name), 'help'].join(' ')}'`,
    VALUES: values.join('\n'),
    OPTIONS: options.join('\n'),
    ARGUMENTS: operands.join('\n'),
  };
}

function withLetter(name: OptionName, between: string): string {
  const { letter } = optionOf(name);
  return letter === undefined ? '' : `${between}-${letter}`;
}

function forZsh(): Record<string, string> {
  const commands = Object.entries(COMMANDS);
  const list = commands.map(([name, { summary }]) => `    ${quoteZsh(`${name}:${summary}`)}`);
  const cases = commands.map(([name, command]) => {
    const specs = command.options.map((option) => `        ${specOf(option)}`);
    const found = argumentOf(command);
    const argument =
      found === undefined
        ? []
        : [`        '${found === 'scripts' ? '*' : '1'}:${found}:_xen_blkback_${found}'`];
    const help = "        '(- *)'{-h,--help}'[print help]'";
    return `      ${name})\n        specs=(\n${[...specs, help, ...argument].join('\n')}\n        ) ;;`;
  });
  return { COMMANDS: list.join('\n'), ARGUMENTS: cases.join('\n') };
}

function specOf(name: OptionName): string {
  const { letter, value, describe } = optionOf(name);
  const text = describe.replace(/[[\]:\\]/g, '\\$&');
  const found = valuesOf(name);
  const actions = {
    files: '_files',
    directories: '_files -/',
    domains: '_xen_blkback_domains',
    any: ' ',
  };
  const action = typeof found === 'string' ? actions[found] : `(${found.join(' ')})`;
  const tail = value === undefined ? '' : `:${value.replace(/[:|]/g, ' ')}:${action}`;
  const body = quoteZsh(`[${text}]${tail}`);
  const equals = value === undefined ? '' : '=';
  if (letter === undefined) return `--${name}${equals}${body}`;
  return `'(-${letter} --${name})'{-${letter},--${name}${equals}}${body}`;
}

const quoteZsh = (text: string): string => `'${text.replace(/'/g, "'\\''")}'`;
