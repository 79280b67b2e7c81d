import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startBed } from '../../bed/bed.js';
import { projectRoot } from '../../bed/paths.js';
import { openStore } from '../../bed/store.js';
import { RULES, type Verdict } from './case.js';
import { CASES } from './cases.js';
import { ours, xenBlock } from './contenders.js';
import { type Contender, play } from './fixture.js';
import { type Row, renderComparison, replaceGenerated } from './table.js';

// This program plays every case twice, with this project and with Xen's own script, and writes the
// results into docs/sharing.md. `npm run docs:sharing` runs it as root.

async function playAll(contender: Contender, plainOnly: boolean): Promise<(Verdict | undefined)[]> {
  await using bed = await startBed({});
  await using store = await openStore(bed);
  const verdicts: (Verdict | undefined)[] = [];
  for (const [index, row] of CASES.entries()) {
    if (plainOnly && !row.plain) verdicts.push(undefined);
    else verdicts.push((await play(bed, store, contender, index, row)).verdict);
  }
  return verdicts;
}

const mine = await playAll(ours, false);
const theirs = await playAll(xenBlock, true);
const rows: Row[] = CASES.map((row, index) => ({
  what: row.what,
  rule: RULES[row.rule],
  expected: row.expected,
  ours: mine[index] ?? 'busy',
  block: theirs[index],
}));
const file = join(projectRoot, 'docs/sharing.md');
writeFileSync(file, replaceGenerated(readFileSync(file, 'utf8'), renderComparison(rows)));
