import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import type { Profiler } from 'node:inspector';
import { Session } from 'node:inspector/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { projectRoot } from '../bed/paths.js';
import { bundleEngine } from '../sim/bundle.js';
import { runSchedule } from '../sim/schedule.js';
import { addScript, type Lines } from './lines.js';

const FOLDERS = ['hotplug', 'sharing', 'vbd', 'topology', 'xenstore'];
const TESTS = ['dist/test/unit/**/*.test.js', 'dist/test/fuzz/*.test.js'];

/** `npm run coverage`: which lines unit tests, properties and the simulator run, and which none of them does. */
async function main(): Promise<void> {
  const { values } = parseArgs({ options: { schedules: { type: 'string', default: '300' } } });
  const lines: Lines = new Map();
  coverTests(lines);
  await coverSchedules(lines, Number(values.schedules));
  let [all, covered] = [0, 0];
  for (const folder of FOLDERS) {
    const files = [...lines].filter(([name]) => name.startsWith(`${folder}/`)).sort();
    const count = files.flatMap(([, file]) => [...file.values()]);
    const run = count.filter(Boolean).length;
    all += count.length;
    covered += run;
    console.log(`${percent(run, count.length)}  src/${folder}: ${run} of ${count.length} lines`);
    for (const [name, file] of files) {
      const missed = [...file].filter(([, isRun]) => !isRun).map(([line]) => line);
      if (missed.length > 0) console.log(`          ${name}: ${ranges(missed)}`);
    }
  }
  console.log(`${percent(covered, all)}  of all`);
}

/** Unit tests run what tsc has made, with a map for the occasion. */
function coverTests(lines: Lines): void {
  const directory = mkdtempSync(join(tmpdir(), 'xen-coverage-'));
  const run = (program: string, args: readonly string[], env = process.env): void => {
    execFileSync(program, args, { cwd: projectRoot, env, stdio: ['ignore', 'ignore', 'inherit'] });
  };
  try {
    run('node_modules/.bin/tsc', ['--sourceMap', '--incremental', 'false']);
    try {
      run('node_modules/.bin/mocha', TESTS, { ...process.env, NODE_V8_COVERAGE: directory });
    } catch {
      console.log('some tests have failed: npm test says which; what they have run counts');
    }
    for (const name of readdirSync(directory)) {
      const report: { result: Profiler.ScriptCoverage[] } = JSON.parse(
        readFileSync(join(directory, name), 'utf8'),
      );
      for (const { url, functions } of report.result) {
        if (!url.includes('/dist/src/')) continue;
        const path = fileURLToPath(url);
        const map = JSON.parse(readFileSync(`${path}.map`, 'utf8'));
        addScript(lines, readFileSync(path, 'utf8'), map, functions);
      }
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function coverSchedules(lines: Lines, schedules: number): Promise<void> {
  const inspector = new Session();
  inspector.connect();
  await inspector.post('Profiler.enable');
  await inspector.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  const session = await bundleEngine();
  for (let seed = 1; seed <= schedules; seed++) await runSchedule(session, seed);
  const { result } = await inspector.post('Profiler.takePreciseCoverage');
  const { text, map, at } = session.source;
  for (const { url, functions } of result) {
    if (url === 'program.cjs') addScript(lines, text, JSON.parse(map), functions, at);
  }
}

function percent(part: number, all: number): string {
  return `${((100 * part) / all).toFixed(1)}%`.padStart(6);
}

/** `3-5, 9`. */
function ranges(numbers: readonly number[]): string {
  const found: [number, number][] = [];
  for (const number of [...numbers].sort((a, b) => a - b)) {
    const last = found.at(-1);
    if (last !== undefined && number === last[1] + 1) last[1] = number;
    else found.push([number, number]);
  }
  return found.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(', ');
}

await main();
