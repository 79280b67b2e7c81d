import { basename } from 'node:path';
import { effort } from '../bed/effort.js';
import { missing, needs } from '../bed/needs.js';
import { defineInnerTests, InnerTests, innerFiles } from '../bed/uml/inner-tests.js';
import { outlineOf } from '../bed/uml/outline.js';

/**
 * Tells whether a file runs in a machine of its own. This machine has the tests that take minutes,
 * and runs in the background from the very first test. The test that unloads device-mapper goes
 * first there: a process that has asked the mapper for something keeps the module in use.
 */
const isApart = (file: string): boolean => /^(absent|torture)\./.test(basename(file));

/**
 * A machine has one CPU only. In CI, two of them run side by side when their turn has come, and take
 * half of the time. By hand, one runs from the first test of all on, beside the tests of the host.
 */
const SIDE_BY_SIDE = effort(2, 1);
const FROM_THE_START = effort(0, 1) === 1;

const files = innerFiles();
const short = files.filter((file) => !isApart(file));
const groups = [
  ...Array.from({ length: SIDE_BY_SIDE }, (_, nth) => ({
    files: short.filter((_, index) => index % SIDE_BY_SIDE === nth),
    background: FROM_THE_START,
  })),
  { files: files.filter(isApart), background: true },
].map((group) => ({ ...group, tests: new InnerTests(group.files, group.background) }));

before(() => {
  if (missing('uml') !== undefined) return;
  for (const { background, tests } of groups) if (background) tests.start();
});

after(async () => {
  for (const { tests } of groups) await tests.stop();
});

describe('in User-Mode Linux', function () {
  // The machines have deadlines of their own.
  this.timeout(0);
  before(function () {
    needs(this, 'uml');
    for (const { tests } of groups) tests.start();
  });
  for (const { files, tests } of groups) defineInnerTests(tests, outlineOf(files));
});
