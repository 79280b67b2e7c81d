import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { startDaemon } from '../../bed/daemon.js';
import { sample } from '../../bed/effort.js';
import { ANOTHER_USER, needs } from '../../bed/needs.js';
import { CLI, type Run, startProgram } from '../../bed/script.js';
import type { HotplugFixture } from '../hotplug/fixture.js';
import { withFixture } from './cli-bed.js';

/** A bed with one attached vbd, 7/51712, and one vbd whose attach has failed, 7/51728. */
interface Setup {
  readonly fixture: HotplugFixture;
  readonly image: string;
  readonly env: Readonly<Record<string, string>>;
}

interface Case {
  /** The arguments of the command. `IMAGE` stands for the file of the attached vbd. */
  readonly words: string;
  readonly status: number;
  /**
   * The exit status without xenstored. `other` is the one of another user, who may ask neither
   * xenstored nor the daemon.
   */
  readonly alone: number;
  readonly other: number;
}

const CASES: readonly Case[] = [
  { words: 'list', status: 0, alone: 1, other: 1 },
  { words: 'list --json', status: 0, alone: 1, other: 1 },
  { words: 'list --all', status: 0, alone: 1, other: 1 },
  { words: 'show 7/51712', status: 0, alone: 1, other: 1 },
  { words: 'show 9/1', status: 1, alone: 1, other: 1 },
  { words: 'add 7/51712', status: 0, alone: 1, other: 1 },
  { words: 'add 7/51728 --dry-run', status: 0, alone: 1, other: 1 },
  { words: 'remove 7/51712 --dry-run', status: 0, alone: 1, other: 1 },
  { words: 'wait 7/51712', status: 0, alone: 1, other: 1 },
  { words: 'wait 7/51728', status: 1, alone: 1, other: 1 },
  { words: 'resize 7/51712', status: 0, alone: 1, other: 1 },
  { words: 'check IMAGE', status: 3, alone: 3, other: 4 },
  { words: 'inspect IMAGE', status: 3, alone: 3, other: 4 },
  { words: 'status', status: 0, alone: 0, other: 1 },
  { words: 'metrics', status: 0, alone: 0, other: 1 },
  { words: 'audit', status: 1, alone: 1, other: 1 },
  { words: 'gc', status: 0, alone: 1, other: 1 },
  { words: 'doctor', status: 1, alone: 1, other: 1 },
  { words: 'config', status: 0, alone: 0, other: 0 },
  { words: 'help', status: 0, alone: 0, other: 0 },
  { words: 'help list', status: 0, alone: 0, other: 0 },
  { words: '--version', status: 0, alone: 0, other: 0 },
  { words: 'divert', status: 1, alone: 1, other: 1 },
  { words: 'lsit', status: 2, alone: 2, other: 2 },
];

/**
 * Removes what differs from run to run: times, and the readers and loop devices of other processes.
 */
function settle(text: string): string {
  return text
    .split('\n')
    .filter((line) => !/unexplained|loop\d+ \(|^ {4}|^Nothing has been changed/.test(line))
    .join('\n')
    .replace(/\d[\d.:TZ-]*/g, '0');
}

async function withSetup(body: (setup: Setup) => Promise<void>): Promise<void> {
  await withFixture(async (fixture) => {
    chmodSync(fixture.bed.directory, 0o755);
    const image = fixture.image();
    await fixture.attach(await fixture.vbd(image));
    await fixture.attach(await fixture.vbd('/nonexistent')).catch(() => undefined);
    await using daemon = await startDaemon(fixture.bed);
    await body({ fixture, image, env: daemon.env });
  });
}

const wordsOf = ({ words }: Case, { image }: Setup): string[] =>
  words.split(' ').map((word) => (word === 'IMAGE' ? image : word));

const run = (one: Case, setup: Setup, env: Readonly<Record<string, string>> = {}): Promise<Run> =>
  startProgram(process.execPath, [CLI, ...wordsOf(one, setup)], { ...setup.env, ...env }).ended;

/** Runs a line of shell in which `XEN` stands for the command. */
function shell(one: Case, setup: Setup, line: string): Promise<Run> {
  const command = [process.execPath, CLI, ...wordsOf(one, setup)]
    .map((word) => `'${word}'`)
    .join(' ');
  const script = `set -o pipefail; ${line.replace('XEN', command)}`;
  return startProgram('bash', ['-c', script], setup.env).ended;
}

/** Returns the lines that the command prints in a terminal of this width. */
async function inTerminal(one: Case, setup: Setup, width: number): Promise<string[]> {
  const words = wordsOf(one, setup).map((word) => `'${word}'`);
  const command = `stty cols ${width} -opost; '${process.execPath}' '${CLI}' ${words.join(' ')}`;
  const child = spawn('script', ['-qec', command, '/dev/null'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...setup.env },
  });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (data) => {
    text += data;
  });
  const status = await new Promise((resolve) => child.once('close', resolve));
  assert.equal(status, one.status, text);
  return text.trimEnd().split('\n');
}

/** Tests the cases, four at a time. */
async function each(setup: Setup, test: (one: Case) => Promise<void>): Promise<void> {
  const left = sample(CASES, 8);
  const worker = async (): Promise<void> => {
    for (let one = left.shift(); one !== undefined; one = left.shift()) await test(one);
  };
  await Promise.all(Array.from({ length: 4 }, worker));
  assert.ok(setup.image);
}

describe('Every command', function () {
  this.timeout(120_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  it('says the same in a pipe, in a German locale, and in terminals of 80 and 200 columns', () =>
    withSetup((setup) =>
      each(setup, async (one) => {
        const usual = await run(one, setup);
        assert.equal(usual.status, one.status, `${one.words}: ${usual.stderr}`);
        // The command writes to one of the two streams, unless its exit status says everything.
        const isQuiet = /^(add|wait) 7\/51712$/.test(one.words);
        assert.equal(usual.stdout + usual.stderr === '', isQuiet, one.words);
        const german = { LC_ALL: 'de_DE.UTF-8', LANG: 'de_DE.UTF-8', LANGUAGE: 'de' };
        const other = await run(one, setup, german);
        assert.equal(other.status, one.status);
        assert.equal(settle(other.stdout), settle(usual.stdout), one.words);
        assert.equal(settle(other.stderr), settle(usual.stderr), one.words);
        for (const width of [80, 200]) {
          const lines = await inTerminal(one, setup, width);
          // A table is cut, a text is wrapped, and a sentence stays whole.
          if (/^(list|list --all|help|help list)$/.test(one.words)) {
            for (const line of lines) assert.ok([...line].length <= width, `${one.words}: ${line}`);
          } else {
            const whole = settle(usual.stdout + usual.stderr).trimEnd();
            assert.equal(settle(lines.join('\n')).trimEnd(), whole, one.words);
          }
        }
      }),
    ));

  it('is quiet where its reader has seen enough, and fails where its output is lost', () =>
    withSetup((setup) =>
      each(setup, async (one) => {
        const usual = await run(one, setup);
        const head = await shell(one, setup, 'XEN | head -1');
        assert.equal(head.status, one.status, one.words);
        assert.equal(settle(head.stderr), settle(usual.stderr), one.words);
        assert.equal(head.stdout, usual.stdout === '' ? '' : `${head.stdout.trimEnd()}\n`);
        const full = await shell(one, setup, 'XEN >/dev/full');
        if (usual.stdout === '') {
          assert.equal(full.status, one.status, one.words);
        } else {
          assert.equal(full.status, one.status || 1, one.words);
          assert.match(full.stderr, /xen-blkback: the output cannot be written: ENOSPC/, one.words);
        }
      }),
    ));

  it('says what it needs where there is no xenstored, and where it is not root', async function () {
    needs(this, 'another user');
    await withSetup((setup) =>
      each(setup, async (one) => {
        const absent = { XENSTORED_PATH: '/nonexistent/socket', XENSTORED_RUNDIR: '' };
        const alone = await run(one, setup, absent);
        assert.equal(alone.status, one.alone, `${one.words}: ${alone.stderr}`);
        if (one.status === 0 && one.alone === 1) {
          assert.match(alone.stderr, /cannot reach xenstored at \/nonexistent\/socket/, one.words);
        }
        const nobody = [...ANOTHER_USER, process.execPath, CLI];
        const words = [...nobody, ...wordsOf(one, setup)];
        const other = await startProgram('setpriv', words, setup.env).ended;
        assert.equal(other.status, one.other, `${one.words}: ${other.stderr}`);
        if (one.status === 0 && one.other !== 0) {
          assert.match(other.stderr, /run as root|only root may ask/, one.words);
        }
      }),
    );
  });
});
