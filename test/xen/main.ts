import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { projectRoot } from '../bed/paths.js';
import { Dom0, type Driver, unpackLogs } from './dom0-run.js';
import { writeDom0Image } from './image.js';
import { type Outcome, parseReportLine, summarise } from './report.js';

// `npm run test:xen`: boots the real Xen in an emulated machine, once for each xen-blkback, and runs
// the scenarios of test/xen/dom0 in its dom0, which has the files of the Debian package.

const DRIVERS: readonly Driver[] = ['stock', 'diskseq'];
/** After so long without a word a machine is given up: no scenario has so much time. */
const SILENCE_MS = 900_000;
const LOGS = join(projectRoot, 'test/xen/logs');

const { values } = parseArgs({
  options: {
    scenario: { type: 'string', multiple: true, default: [] },
    driver: { type: 'string', multiple: true, default: [] },
    shell: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});

const USAGE = `usage: npm run test:xen -- [--driver stock|diskseq] [--scenario NAME]… [--shell]

  --driver NAME    only this xen-blkback: Debian's (stock), or the one with the diskseq patch
  --scenario NAME  only this scenario; may be given several times
  --shell          no scenarios, but a shell in dom0; leave it with exit, or with Ctrl-A X`;

const notes: string[] = [];
const outcomes = new Map<string, Outcome[]>();

function chosenDrivers(): Driver[] {
  const unknown = values.driver.find((name) => !DRIVERS.some((driver) => driver === name));
  if (unknown !== undefined) throw new Error(`--driver ${unknown}: stock or diskseq is needed`);
  const chosen = DRIVERS.filter((driver) => values.driver.includes(driver));
  if (values.shell) return [chosen[0] ?? 'stock'];
  return chosen.length > 0 ? chosen : [...DRIVERS];
}

/** Builds the Debian package, and makes an image with what is in it. */
function makeImage(directory: string): string {
  const builder = join(projectRoot, 'dist/install/package/main.js');
  const built = execFileSync(process.execPath, [builder, '--output', directory, 'deb'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const installed = join(directory, 'installed');
  execFileSync('dpkg-deb', ['--extract', built.trim(), installed]);
  const image = join(directory, 'dom0.cpio');
  writeDom0Image(image, installed);
  return image;
}

/** Runs the scenarios on one driver; false unless all were run and passed. */
async function runDriver(driver: Driver, image: string): Promise<boolean> {
  const logs = join(LOGS, driver);
  const { scenario: scenarios, shell } = values;
  const dom0 = new Dom0({ driver, image, scenarios, shell, logs });
  const say = (text: string): void => console.log(`${driver.padEnd(8)} ${text}`);
  const found: Outcome[] = [];
  outcomes.set(driver, found);
  let current: string | undefined;
  let archive: string[] | undefined;
  let done = false;
  const silence = setTimeout(() => {
    say(`nothing was heard for ${SILENCE_MS / 1000} s: the machine is given up`);
    dom0.kill();
  }, SILENCE_MS);
  if (shell) clearTimeout(silence);
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
    } else if (line.kind === 'note') notes.push(`  ${driver}: ${line.scenario}: ${line.text}`);
    else if (line.kind === 'logs') archive = [];
    else if (line.kind === 'done') done = true;
    else if (archive !== undefined) archive.push(line.text);
    else say(line.text);
  }
  clearTimeout(silence);
  const how = await dom0.ended;
  if (shell) return true;
  await unpackLogs((archive ?? []).join(''), logs);
  if (!done) {
    say(`the machine ended ${how} before its report did: see ${join(logs, 'console.log')}`);
    if (current) found.push({ scenario: current, passed: false, seconds: 0 });
  }
  return done && found.length > 0 && found.every(({ passed }) => passed);
}

async function main(): Promise<number> {
  const start = performance.now();
  const drivers = chosenDrivers();
  const directory = mkdtempSync(join(tmpdir(), 'xen-dom0-'));
  process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => process.exit(1));
  }
  const image = makeImage(directory);
  const results = await Promise.all(drivers.map((driver) => runDriver(driver, image)));
  if (values.shell) return 0;
  console.log(summarise(outcomes, notes));
  const passed = results.every((result) => result);
  const minutes = ((performance.now() - start) / 60_000).toFixed(1);
  console.log(`\n${passed ? 'All passed' : 'FAILED'} in ${minutes} minutes; logs are in ${LOGS}`);
  return passed ? 0 : 1;
}

if (values.help) console.log(USAGE);
else process.exitCode = await main();
