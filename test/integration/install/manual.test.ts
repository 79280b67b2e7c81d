import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { projectRoot } from '../../bed/paths.js';
import { CLI, type Run, startProgram } from '../../bed/script.js';

const MANUAL = readFileSync(join(projectRoot, 'install/man/xen-blkback.8'), 'utf8');
const COMPLETION = join(projectRoot, 'install/completion/xen-blkback');

const help = async (...words: string[]): Promise<string> =>
  (await startProgram(process.execPath, [CLI, ...words, '--help'], {}).ended).stdout;

const optionsOf = (text: string): string[] =>
  [...text.matchAll(/^ +(?:-\w, )?(--[a-z-]+)/gm)].map((match) => match[1] ?? '');

/** Words that completion offers where these have been typed. */
async function complete(
  env: Readonly<Record<string, string>>,
  ...words: string[]
): Promise<string[]> {
  const script = `
source "$1"
shift
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_xen_blkback
printf '%s\\n' "\${COMPREPLY[@]}"
`;
  const args = ['-c', script, 'bash', COMPLETION, 'xen-blkback', ...words];
  const { status, stdout, stderr }: Run = await startProgram('bash', args, env).ended;
  assert.deepEqual([status, stderr], [0, '']);
  return stdout.split('\n').filter((word) => word !== '');
}

describe('the manual page and the completion', function () {
  this.timeout(60_000);
  let commands: string[];
  before(async () => {
    const text = (await help()).split('\nOptions:')[0] ?? '';
    commands = [...text.matchAll(/^ {2}(\w+)/gm)].map(([, name = '']) => name);
    assert.ok(commands.length > 5);
  });

  it('have all commands and no other one', async () => {
    const section = MANUAL.slice(MANUAL.indexOf('.SH COMMANDS'), MANUAL.indexOf('.SH OPTIONS'));
    const described = [...section.matchAll(/^\.TP\n\.BI?R? (\w+)/gm)].map(([, name]) => name);
    assert.deepEqual(described.sort(), [...commands].sort());
    const offered = await complete({}, '');
    assert.deepEqual(offered.filter((word) => !word.startsWith('-')).sort(), [...commands].sort());
  });

  it('have all options of all commands and no other one', async () => {
    const all = new Set<string>();
    for (const command of commands) {
      const options = optionsOf(await help(command));
      const offered = await complete({}, command, '--');
      assert.deepEqual(offered.sort(), options.sort(), command);
      for (const option of options) all.add(option);
    }
    const section = MANUAL.slice(MANUAL.indexOf('.SH OPTIONS'), MANUAL.indexOf('.SH EXIT STATUS'));
    const plain = section.replaceAll('\\-', '-');
    const described = [...plain.matchAll(/^\.TP\n\.B.* (--[a-z-]+)/gm)].map(([, name]) => name);
    assert.deepEqual(described.sort(), [...all].sort());
  });

  it('read without a complaint of the formatter, in 80 columns', async function () {
    const found = await startProgram('sh', ['-c', 'command -v groff'], {}).ended;
    if (found.status !== 0) {
      console.log(`SKIPPED: ${this.test?.fullTitle()}: groff is not installed`);
      return this.skip();
    }
    for (const name of ['xen-blkback', 'block-diskseq']) {
      const file = join(projectRoot, `install/man/${name}.8`);
      const args = ['-man', '-Tutf8', '-P-cbou', '-rLL=80n', '-ww', file];
      const { status, stdout, stderr } = await startProgram('groff', args, {}).ended;
      assert.deepEqual([status, stderr], [0, ''], name);
      assert.deepEqual(
        stdout.split('\n').filter((line) => line.length > 80),
        [],
        name,
      );
    }
  });

  it('offers the vbds that the kernel has', async () => {
    const sysfs = mkdtempSync(join(tmpdir(), 'xen-completion-'));
    try {
      mkdirSync(join(sysfs, 'bus/xen-backend/devices/vbd-7-51712'), { recursive: true });
      assert.deepEqual(await complete({ XEN_BLKBACK_SYSFS: sysfs }, 'show', '7'), ['7/51712']);
    } finally {
      rmSync(sysfs, { recursive: true });
    }
  });
});
