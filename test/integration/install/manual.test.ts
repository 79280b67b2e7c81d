import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { planCompletion } from '../../../install/manual/completion.js';
import { type ManualPage, planManual } from '../../../install/manual/pages.js';
import { DAEMON_SETTINGS, SETTINGS } from '../../../src/cli/settings.js';
import { KEYS } from '../../../src/target/target.js';
import { projectRoot } from '../../bed/paths.js';
import { CLI, startProgram } from '../../bed/script.js';
import { skipByName } from '../../bed/skip.js';

const help = async (...words: string[]): Promise<string> =>
  (await startProgram(process.execPath, [CLI, ...words, '--help'], {}).ended).stdout;

const optionsOf = (text: string): string[] =>
  [...text.matchAll(/^ +(?:-\w, )?(--[a-z-]+)/gm)].map((match) => match[1] ?? '');

const hasCommand = async (name: string): Promise<boolean> =>
  (await startProgram('sh', ['-c', `command -v ${name}`], {}).ended).status === 0;

describe('the manual pages and the completion', function () {
  this.timeout(60_000);
  let directory: string;
  let commands: string[];
  let pages: ManualPage[];
  const options = new Map<string, string[]>();
  before(async () => {
    directory = mkdtempSync(join(tmpdir(), 'xen-manual-'));
    for (const shell of ['bash', 'zsh'] as const) {
      writeFileSync(join(directory, shell), await planCompletion(projectRoot, shell));
    }
    pages = await planManual(projectRoot);
    const text = (await help()).split('\nOptions:')[0] ?? '';
    commands = [...text.matchAll(/^ {2}(\w+)/gm)].map(([, name = '']) => name);
    assert.ok(commands.length > 5);
    await Promise.all(
      commands.map(async (name) => options.set(name, optionsOf(await help(name)).sort())),
    );
  });
  after(() => rmSync(directory, { recursive: true, force: true }));

  /**
   * Returns the words that bash offers after the words typed, which are split as readline splits
   * them.
   */
  async function complete(...words: string[]): Promise<string[]> {
    const script = `
source "$1"
shift
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_xen_blkback
printf '%s\\n' "\${COMPREPLY[@]}"
`;
    const args = ['-c', script, 'bash', join(directory, 'bash'), 'xen-blkback', ...words];
    const env = { XEN_BLKBACK_SYSFS: directory };
    const { status, stdout, stderr } = await startProgram('bash', args, env).ended;
    assert.deepEqual([status, stderr], [0, '']);
    return stdout.split('\n').filter((word) => word !== '');
  }

  const page = (name: string): string => {
    const found = pages.find((other) => other.name === name);
    return found?.text.replaceAll('\\-', '-').replace(/\\f[BIR]/g, '') ?? assert.fail(name);
  };

  it('have all commands of the help and no other one', async () => {
    const [, section = ''] = /^\.SH COMMANDS\n([\s\S]*?)^\.SH /m.exec(page('xen-blkback')) ?? [];
    const described = [...section.matchAll(/^\.TP\n(\w+)/gm)].map(([, name]) => name);
    assert.deepEqual(described.sort(), [...commands].sort());
    const offered = await complete('');
    assert.deepEqual(offered.filter((word) => !word.startsWith('-')).sort(), [...commands].sort());
  });

  it('have all options of the help of each command and no other one', async () => {
    const [, section = ''] = /^\.SH OPTIONS\n([\s\S]*?)^\.SH /m.exec(page('xen-blkback')) ?? [];
    const users = new Map<string, string[]>();
    for (const [, name = '', list = ''] of section.matchAll(
      /^\.TP\n(?:-\w, )?(--[a-z-]+)[\s\S]*?^Commands: (.*)\.$/gm,
    )) {
      users.set(name, list.split(', '));
    }
    for (const command of commands.filter((name) => name !== 'help')) {
      const mine = options.get(command) ?? [];
      assert.deepEqual((await complete(command, '--')).sort(), mine, command);
      const told = [...users].filter(([, list]) => list.includes(command)).map(([name]) => name);
      assert.deepEqual([...told, '--help'].sort(), mine, command);
    }
  });

  it('have all settings, with what is built in and the variable', () => {
    const document = readFileSync(join(projectRoot, 'docs/configuration.md'), 'utf8');
    const settings = { ...SETTINGS, ...DAEMON_SETTINGS };
    const rows = [...document.matchAll(/^\| `([a-z-]+)` \| `([^`]+)` \| `([A-Z_]+)` \|/gm)];
    assert.deepEqual(
      rows.map(([, ...cells]) => cells),
      Object.entries(settings).map(([name, { env, fallback }]) => [name, fallback, env]),
    );
    for (const name of Object.keys(settings)) {
      assert.match(page('xen-blkback.conf'), new RegExp(`^\\.TP\\n${name}\\n`, 'm'));
    }
  });

  it('have all keys of a target', () => {
    const names = [...page('xen-blkback-targets').matchAll(/^\.TP\n(.*)\n/gm)].flatMap(
      ([, list = '']) => list.split(', '),
    );
    assert.deepEqual(names.sort(), [...KEYS].sort());
  });

  it('read without a complaint of the formatter, in 80 columns', async function () {
    if (!(await hasCommand('groff'))) {
      return skipByName(this, 'groff is not installed');
    }
    for (const { name, section, text } of pages) {
      const file = join(directory, `${name}.${section}`);
      writeFileSync(file, text);
      const args = ['-man', '-Tutf8', '-Kutf8', '-P-cbou', '-rLL=80n', '-ww', file];
      const { status, stdout, stderr } = await startProgram('groff', args, {}).ended;
      assert.deepEqual([status, stderr], [0, ''], name);
      // Messages and a rule of udev are shown as they are printed, so their lines are not broken.
      const long = stdout
        .split('\n')
        .filter((line) => line.length > 80 && !/==|^ *xen-blkback: /.test(line));
      assert.deepEqual(long, [], name);
      assert.doesNotMatch(stdout, /\]\(|`|\\f/, name);
    }
  });

  it('offer what the kernel has: vbds, guests and mapper devices; and values', async () => {
    mkdirSync(join(directory, 'bus/xen-backend/devices/vbd-7-51712'), { recursive: true });
    mkdirSync(join(directory, 'bus/xen-backend/devices/vbd-7-51728'), { recursive: true });
    mkdirSync(join(directory, 'block/dm-3/dm'), { recursive: true });
    writeFileSync(join(directory, 'block/dm-3/dm/name'), 'vg0-root\n');
    assert.deepEqual(await complete('show', '7'), ['7/51712', '7/51728']);
    assert.deepEqual(await complete('list', ''), ['7']);
    assert.deepEqual(await complete('check', 'dm-name', '=', 'vg'), ['vg0-root']);
    assert.deepEqual(await complete('check', 'dm-name', '='), ['vg0-root']);
    assert.deepEqual(await complete('check', 'dm'), ['dm-name=', 'dm-uuid=']);
    assert.deepEqual(await complete('check', `${directory}/block/d`), [`${directory}/block/dm-3`]);
    assert.deepEqual(await complete('add', '--uapi', ''), ['key', 'inline']);
    assert.deepEqual(await complete('check', '--mode', '=', 'r'), ['r']);
  });

  it('work in zsh as well', async function () {
    if (!(await hasCommand('zsh'))) {
      return skipByName(this, 'zsh is not installed');
    }
    writeFileSync(join(directory, '_xen-blkback'), readFileSync(join(directory, 'zsh')));
    mkdirSync(join(directory, 'bus/xen-backend/devices/vbd-7-51712'), { recursive: true });
    // The completion prints its offers instead of showing them.
    const script = `
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell 'stty columns 200; PS1=; unsetopt beep; fpath=("$DIR" $fpath); autoload -Uz compinit; compinit -u -D'
zpty -w shell 'zstyle ":completion:*" list-prompt ""; LISTMAX=0'
zpty -w shell 'echo ready'
zpty -r -m shell line '*ready*ready*'
zpty -n -w shell "xen-blkback $WORDS"$'\\t'
sleep 1
zpty -n -w shell $'\\t'
sleep 1
while zpty -r -t shell line; do print -rn -- $line; done
zpty -d shell
`;
    const ask = async (words: string): Promise<string> => {
      const env = { DIR: directory, XEN_BLKBACK_SYSFS: directory, WORDS: words, TERM: 'dumb' };
      const { stdout } = await startProgram('zsh', ['-fc', script], env).ended;
      return stdout;
    };
    const [first, vbd, option, value] = await Promise.all(
      ['', 'show 7/517', 'daemon --', 'add --uapi='].map(ask),
    );
    for (const name of commands) assert.match(first ?? '', new RegExp(`\\b${name}\\b`));
    assert.match(vbd ?? '', /7\/51712/);
    for (const name of options.get('daemon') ?? []) assert.match(option ?? '', new RegExp(name));
    assert.match(value ?? '', /inline +key|key +inline/);
  });
});
