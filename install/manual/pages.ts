import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { COMMANDS } from '../../src/cli/commands.js';
import { OPTIONS, type OptionName, optionOf } from '../../src/cli/options.js';
import { DAEMON_SETTINGS, SETTINGS } from '../../src/cli/settings.js';
import { escapeRoff, fromMarkdown, inline } from './roff.js';

/** A manual page for the directory man<section>. */
export interface ManualPage {
  readonly name: string;
  readonly section: 5 | 7 | 8;
  readonly text: string;
}

/** Manual pages that have the same text as a document. */
const DOCUMENTS = [
  { name: 'xen-blkback.conf', section: 5, document: 'configuration' },
  { name: 'xen-blkback-targets', section: 7, document: 'targets' },
] as const;

/** Returns all manual pages. Their commands and options come from the tables of `--help`. */
export async function planManual(project: string): Promise<ManualPage[]> {
  const read = (name: string): Promise<string> => readFile(join(project, name), 'utf8');
  const command = await read('install/man/xen-blkback.8');
  const script = await read('install/man/block-diskseq.8');
  const documents = DOCUMENTS.map(async ({ name, section, document }) => {
    const head = await read(`install/man/${name}.${section}`);
    const text = (await read(`docs/${document}.md`)).replace(/^# .*\n/, '');
    return { name, section, text: fill(head, { DOCUMENT: fromMarkdown(text) }) };
  });
  return [
    { name: 'block-diskseq', section: 8, text: script },
    {
      name: 'xen-blkback',
      section: 8,
      text: fill(command, {
        COMMANDS: describeCommands(),
        OPTIONS: describeOptions(),
        VARIABLES: describeVariables(),
      }),
    },
    ...(await Promise.all(documents)),
  ];
}

function fill(template: string, values: Readonly<Record<string, string>>): string {
  return template.replace(/^@([A-Z]+)@\n/gm, (_, name: string) => {
    const value = values[name];
    if (value === undefined) throw new Error(`nothing is known for @${name}@`);
    return value;
  });
}

function describeCommands(): string {
  const entries = Object.entries(COMMANDS).map(([name, { operand, summary, details }]) => {
    const word = operand === undefined ? '' : ` \\fI${escapeRoff(operand)}\\fR`;
    const text = [sentence(summary), ...(details === undefined ? [] : [details])];
    return `.TP\n\\fB${escapeRoff(name)}\\fR${word}\n${inline(text.join('\n'))}\n`;
  });
  return `${entries.join('')}.TP\n\\fBhelp\\fR [\\fICOMMAND\\fR]\nTell more of one command.\n`;
}

function describeOptions(): string {
  const names = Object.keys(OPTIONS) as OptionName[];
  return names
    .map((name) => {
      const { letter, value, describe, fallback, env } = optionOf(name);
      const words = [...(letter === undefined ? [] : [`-${letter}`]), `--${name}`];
      const shown = words.map((word) => `\\fB${escapeRoff(word)}\\fR`).join(', ');
      const given = value === undefined ? '' : ` \\fI${escapeRoff(value)}\\fR`;
      const users = Object.entries(COMMANDS)
        .filter(([, { options }]) => options.includes(name))
        .map(([command]) => `\`${command}\``);
      const notes = [
        sentence(describe),
        ...(fallback === undefined ? [] : [`The default is \`${fallback}\`.`]),
        ...(env === undefined ? [] : [`The variable is \`${env}\`.`]),
        `Commands: ${users.join(', ')}.`,
      ];
      return `.TP\n${shown}${given}\n${inline(notes.join('\n'))}\n`;
    })
    .join('');
}

function describeVariables(): string {
  const settings = Object.entries({ ...SETTINGS, ...DAEMON_SETTINGS });
  return settings
    .map(([name, { env }]) => `.TP\n\\fB${env}\\fR\nThe setting \\fB${escapeRoff(name)}\\fR.\n`)
    .join('');
}

const sentence = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
