import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { startBed } from '../../bed/bed.js';
import { needs } from '../../bed/needs.js';
import { projectRoot } from '../../bed/paths.js';
import { openStore } from '../../bed/store.js';
import type { Verdict } from './case.js';
import { CASES } from './cases.js';
import { xenBlock } from './contenders.js';
import { play } from './fixture.js';
import { readGenerated } from './table.js';

/** The cases that Xen's script decides in another way, with its verdict. */
const OTHERWISE: readonly (readonly [RegExp, Verdict])[] = [
  [/^the same file: two guests, read-write, then read-write$/, 'free'],
  [/^a loop device over the file, mounted read-write here; wanted read-write$/, 'free'],
  [/^a whole disk, and a partition of it: two guests, read-write, then read-write$/, 'free'],
  [/^an entry whose disk is another by now/, 'busy'],
];

describe("Xen's block script in our place", function () {
  this.timeout(30_000);

  for (const [title, verdict] of OTHERWISE) {
    const row = CASES.find(({ what }) => title.test(what));
    it(`says ${verdict} to ${row?.what}`, async function () {
      needs(this, 'root', 'loop', 'xenstored');
      assert.ok(row);
      assert.notEqual(row.expected, verdict);
      await using bed = await startBed({});
      await using store = await openStore(bed);
      assert.equal((await play(bed, store, xenBlock, 0, row)).verdict, verdict);
    });
  }
});

describe('docs/sharing.md', () => {
  const table = readGenerated(readFileSync(join(projectRoot, 'docs/sharing.md'), 'utf8'));

  it('shows every case with its verdict (npm run docs:sharing)', () => {
    const all = table.slice(table.indexOf('### All cases')).split('\n').slice(4);
    assert.deepEqual(
      all.map((line) => line.split(' | ').slice(0, 3).join(' | ')),
      CASES.map(({ what, expected }) => `| ${what} | ${expected} | ${expected}`),
    );
  });
});
