// The texts of `help`. All texts of this program are English in every locale.

import { COMMANDS, type Command, OPERANDS } from './commands.js';
import { type OptionName, optionOf } from './options.js';
import { CONFIG_FILE } from './read-config.js';

const NARROWEST = 40;
const WIDEST = 100;
const USUAL_WIDTH = 80;

/** Returns the help about all commands, for a terminal of `width` columns. */
export function describeCommands(width: number): string {
  const rows = Object.entries(COMMANDS).map(
    ([name, { operand = '', summary }]): [string, string] => [
      `${name} ${operand}`.trimEnd(),
      summary,
    ],
  );
  rows.push(['help [COMMAND]', 'tell more of one command']);
  return `Usage: xen-blkback COMMAND [OPTION…]

Hands block devices to Xen guests: the userspace half of xen-blkback.

Commands:
${table(rows, width)}

Options:
${table(
  [
    ['-h, --help', 'what this prints, or the help of a command'],
    ['--version', 'the version of this program, and the commit that it was built from'],
  ],
  width,
)}

Settings come from the command line, from variables XEN_BLKBACK_…, from
${CONFIG_FILE}, and are built in, in this order:
xen-blkback config prints those in force.

Exit status: 0 done, 1 failed, 2 wrong use or configuration, 3 in use by others,
4 cannot tell (check, inspect).
`;
}

/** Returns the help about one command, for a terminal of `width` columns. */
export function describeCommand(name: string, command: Command, width: number): string {
  const { operand, summary, details, options, meanings } = command;
  const usage = ['xen-blkback', name, operand, '[OPTION…]'].filter((word) => word !== undefined);
  const rows = [
    ...options.map((option) => describeOption(option, meanings?.[option])),
    ['-h, --help', 'this text'] as const,
  ];
  const paragraphs = [
    `${summary[0]?.toUpperCase()}${summary.slice(1)}.`,
    ...(details === undefined ? [] : [details]),
    ...(operand === undefined ? [] : (OPERANDS[operand] ?? '').split('\n')),
  ].filter((text) => text !== '');
  return `Usage: ${usage.join(' ')}

${paragraphs.map((text) => `${wrap(text, USUAL_WIDTH).join('\n')}\n`).join('\n')}
Options:
${table(rows, width)}
`;
}

function describeOption(name: OptionName, meaning?: string): readonly [string, string] {
  const { letter, value, describe, fallback, env } = optionOf(name);
  const start = letter === undefined ? '' : `-${letter}, `;
  const setting = [
    ...(fallback === undefined ? [] : [`by default ${fallback}`]),
    ...(env === undefined ? [] : [`also ${env}`]),
  ];
  // An option with another meaning does not correspond to the setting of the same name.
  const notes = meaning === undefined ? setting : [];
  return [
    `${start}--${name}${value === undefined ? '' : ` ${value}`}`,
    notes.length === 0 ? (meaning ?? describe) : `${describe} (${notes.join('; ')})`,
  ];
}

/** Formats two columns. A text that is too long for the second column goes on in the next line. */
function table(rows: readonly (readonly [string, string])[], width: number): string {
  const whole = Math.min(Math.max(width, NARROWEST), WIDEST);
  const left = Math.max(...rows.map(([word]) => word.length)) + 4;
  return rows
    .map(([word, text]) => {
      const lines = wrap(text, Math.max(whole - left, NARROWEST / 2));
      return `  ${word.padEnd(left - 2)}${lines.join(`\n${' '.repeat(left)}`)}`;
    })
    .join('\n');
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1) ?? '';
    if (line === '') lines[lines.length - 1] = word;
    else if (line.length + 1 + word.length <= width) lines[lines.length - 1] = `${line} ${word}`;
    else lines.push(word);
  }
  return lines;
}
