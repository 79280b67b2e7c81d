import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { projectRoot } from '../bed/paths.js';
import { Dom0, unpackLogs } from './dom0-run.js';
import { writeDom0Image } from './image.js';
import { type Generation, planRuns, type Run } from './plan.js';
import { type Outcome, parseReportLine, summarise } from './report.js';

// `npm run test:xen`: boots the real Xen in an emulated machine, for each generation and each
// xen-blkback, and runs the scenarios of test/xen/dom0 in its dom0, which has the files of the Debian
// package.

/** After so long without a word a machine is given up: no scenario has so much time. */
const SILENCE_MS = 900_000;
/** Each emulates one processor. */
const AT_A_TIME = 2;
const LOGS = join(projectRoot, 'test/xen/logs');

const { values } = parseArgs({
  options: {
    generation: { type: 'string', multiple: true, default: [] },
    driver: { type: 'string', multiple: true, default: [] },
    scenario: { type: 'string', multiple: true, default: [] },
    sample: { type: 'boolean', default: false },
    shell: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});

const USAGE = `usage: npm run test:xen -- [OPTION]…

  --generation NAME  Debian's Xen and Linux: bookworm (4.17, 6.1), trixie (4.20, 6.12), or backports
                     (trixie with a newer Linux); without this, trixie
  --driver NAME      only this xen-blkback: Debian's (stock), or the one with the diskseq patch
  --scenario NAME    only this scenario
  --sample           a sample on all generations, with both drivers on trixie
  --shell            no scenarios, but a shell in dom0; leave it with exit, or with Ctrl-A X

The first three may be given several times. Without any of them: all scenarios on trixie with both
drivers, and a sample on the other generations.`;

const notes: string[] = [];
const outcomes = new Map<string, Outcome[]>();
const installed = mkdtempSync(join(tmpdir(), 'xen-dom0-'));
const images = new Map<Generation, string>();

/** Builds the Debian package, and unpacks it. */
function unpackPackage(destination: string): void {
  const builder = join(projectRoot, 'dist/install/package/main.js');
  const built = execFileSync(process.execPath, [builder, '--output', installed, 'deb'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  execFileSync('dpkg-deb', ['--extract', built.trim(), destination]);
}

/** The image that a generation's dom0 boots, with the files of the Debian package in it. */
function imageOf({ generation }: Run): string {
  const made = images.get(generation);
  if (made !== undefined) return made;
  const destination = join(installed, 'installed');
  if (images.size === 0) unpackPackage(destination);
  const image = join(installed, `${generation}.cpio`);
  writeDom0Image(image, destination, generation);
  images.set(generation, image);
  return image;
}

/** Runs the scenarios of one boot; false unless all were run and passed. */
async function carryOut(run: Run): Promise<boolean> {
  const { generation, driver, scenarios } = run;
  const machine = `${generation}/${driver}`;
  const logs = join(LOGS, generation, driver);
  const image = imageOf(run);
  const dom0 = new Dom0({ generation, driver, image, scenarios, shell: values.shell, logs });
  const say = (text: string): void => console.log(`${machine.padEnd(17)} ${text}`);
  const found: Outcome[] = [];
  outcomes.set(machine, found);
  let current: string | undefined;
  let archive: string[] | undefined;
  let done = false;
  const silence = setTimeout(() => {
    say(`nothing was heard for ${SILENCE_MS / 1000} s: the machine is given up`);
    dom0.kill();
  }, SILENCE_MS);
  if (values.shell) clearTimeout(silence);
  for await (const text of dom0.lines()) {
    silence.refresh();
    const line = parseReportLine(text);
    if (line.kind === 'begin') current = line.scenario;
    else if (line.kind === 'outcome') {
      current = undefined;
      found.push(line.outcome);
      const { scenario, passed, seconds, reason } = line.outcome;
      say(`${passed ? 'ok    ' : 'FAILED'} ${seconds.toFixed(1).padStart(6)} s  ${scenario}`);
      if (reason) say(`       ${reason}`);
    } else if (line.kind === 'note') notes.push(`  ${machine}: ${line.scenario}: ${line.text}`);
    else if (line.kind === 'logs') archive = [];
    else if (line.kind === 'done') done = true;
    else if (archive !== undefined) archive.push(line.text);
    else say(line.text);
  }
  clearTimeout(silence);
  const how = await dom0.ended;
  if (values.shell) return true;
  await unpackLogs((archive ?? []).join(''), logs);
  if (!done) {
    say(`the machine ended ${how} before its report did: see ${join(logs, 'console.log')}`);
    if (current) found.push({ scenario: current, passed: false, seconds: 0 });
  }
  return done && found.length > 0 && found.every(({ passed }) => passed);
}

function setUp(runs: readonly Run[]): void {
  for (const { generation, driver } of runs) {
    const args = [generation, ...(driver === 'diskseq' ? [driver] : [])];
    const stdio = ['ignore', 'inherit', 'inherit'] as const;
    execFileSync(join(projectRoot, 'test/xen/setup'), args, { stdio: [...stdio] });
  }
}

async function main(): Promise<number> {
  const start = performance.now();
  process.on('exit', () => rmSync(installed, { recursive: true, force: true }));
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => process.exit(1));
  }
  const planned = planRuns(values);
  const runs = values.shell ? planned.slice(0, 1) : planned;
  setUp(runs);
  const waiting = [...runs];
  let passed = true;
  const carryOutInTurn = async (): Promise<void> => {
    for (let run = waiting.shift(); run !== undefined; run = waiting.shift()) {
      passed = (await carryOut(run)) && passed;
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, carryOutInTurn));
  if (values.shell) return 0;
  console.log(summarise(outcomes, notes));
  const minutes = ((performance.now() - start) / 60_000).toFixed(1);
  console.log(`\n${passed ? 'All passed' : 'FAILED'} in ${minutes} minutes; logs are in ${LOGS}`);
  return passed ? 0 : 1;
}

if (values.help) console.log(USAGE);
else process.exitCode = await main();
