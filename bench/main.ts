import { readFileSync, writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { projectRoot } from '../test/bed/paths.js';
import { processState } from '../test/bed/process-state.js';
import { measureEffort } from './effort.js';
import { type Attach, BenchFixture, type FixtureOptions } from './fixture.js';
import {
  type Among,
  type Burst,
  measureAmong,
  measureBurst,
  measureCommand,
  measureRest,
  measureSingle,
  type Times,
} from './measure.js';
import { type Results, singleTable, toMarkdown, toPlot } from './report.js';

// Measures how long a toolstack waits when files are attached as vbds, by our script and by Xen's
// `block` in one run. Prints tables, and puts them into docs/speed.md and README.md, with a plot.
//
//   npm run bench -- [--peer PROGRAM] [--guise stock|diskseq]
//
// PROGRAM is another hotplug script that is measured, too. With a peer, the pages do not change.

const { values } = parseArgs({
  options: { peer: { type: 'string' }, guise: { type: 'string', default: 'stock' } },
});
const options: FixtureOptions = {
  peer: values.peer,
  guise: values.guise === 'diskseq' ? 'diskseq' : 'stock',
};

const ROUNDS = 50;
const EFFORT_VBDS = 200;
/** The number of attached disks when the command that lists them is measured. */
const LISTED = 200;
/** The rounds for each number of attached disks. There are few rounds if each takes seconds. */
const AMONG = [
  { attached: 0, rounds: { daemon: 50, block: 5 } },
  { attached: LISTED, rounds: { daemon: 50, block: 3 } },
  { attached: 1000, rounds: { daemon: 50, block: 1 } },
];
const AT_A_TIME = 50;

/** Measures and reports. Reports before it detaches a thousand disks, because this takes long. */
async function measure(): Promise<void> {
  await using fixture = await BenchFixture.start(options);
  const atStart = processState(fixture.daemon.child.pid).residentMiB;
  const before = formatLoad();
  const single = await measureSingle(fixture, ROUNDS);
  say(`one disk: done\n${singleTable({ single, rounds: ROUNDS })}`);
  const bursts: Burst[] = [
    await measureBurst(fixture, 'daemon', 100, 3),
    ...(options.peer === undefined ? [] : [await measureBurst(fixture, 'peer', 100, 3)]),
    await measureBurst(fixture, 'block', 100, 1),
    // `block` is left out: it handles one disk at a time, and each takes longer than the last one.
    await measureBurst(fixture, 'daemon', 500, 1),
  ];
  say(`many at once: done ${JSON.stringify(bursts)}`);
  const effort = await measureEffort(fixture, EFFORT_VBDS);
  say(`effort: done ${JSON.stringify(effort)}`);
  const others: Attach[] = [];
  const among: Among[] = [];
  let command: Times = new Map();
  for (const { attached, rounds } of AMONG) {
    while (others.length < attached) {
      others.push(
        ...(await fixture.attachMany('daemon', Math.min(AT_A_TIME, attached - others.length))),
      );
    }
    among.push(...(await measureAmong(fixture, attached, rounds)));
    say(`beside ${attached}: done ${JSON.stringify(among.slice(-2))}`);
    if (attached === LISTED) command = await measureCommand(fixture, ROUNDS);
  }
  const rest = await measureRest(fixture, others, 10);
  const load = `${before}; ${formatLoad()}`;
  report({ rounds: ROUNDS, single, bursts, among, effort, command, atStart, rest, load });
}

function formatLoad(): string {
  return loadavg()
    .map((load) => load.toFixed(1))
    .join(' ');
}

/** Prints progress for people on stderr. Only the tables go to stdout. */
function say(text: string): void {
  process.stderr.write(`bench: ${text}\n`);
}

/** Puts a text between the two marker lines of a page. */
function fill(name: string, content: string): void {
  const page = join(projectRoot, name);
  const [first, last] = ['<!-- made by npm run bench -->\n', '<!-- /made by npm run bench -->'];
  const text = readFileSync(page, 'utf8');
  const [start, end] = [text.indexOf(first), text.indexOf(last)];
  if (start < 0 || end < start) throw new Error(`${page} does not say where the figures belong`);
  writeFileSync(page, `${text.slice(0, start)}${first}\n${content}\n\n${text.slice(end)}`);
}

function report(results: Results): void {
  const markdown = toMarkdown(results);
  console.log(markdown);
  // The pages only show figures that everybody can measure, and not everybody has the peer.
  if (options.peer !== undefined) return;
  fill('docs/speed.md', markdown);
  fill('README.md', singleTable(results));
  writeFileSync(join(projectRoot, 'docs/speed.svg'), toPlot(results));
}

await measure();
