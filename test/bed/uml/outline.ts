/**
 * Prints as JSON the tests of the test files in the arguments, without running any test. This is a
 * process of its own, because a running mocha would add the tests of other files to its own tests.
 */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import Mocha from 'mocha';
import { titleOf } from './job.js';

/** A suite, with its tests and inner suites. */
export interface Outline {
  readonly title: string;
  /** The title of each test, and the name by which both sides know it. */
  readonly tests: readonly { readonly title: string; readonly fullTitle: string }[];
  readonly suites: readonly Outline[];
}

const self = fileURLToPath(import.meta.url);

/** Returns the tests in compiled test files. */
export function outlineOf(files: readonly string[]): Outline {
  const text = execFileSync(process.execPath, [self, ...files], { encoding: 'utf8' });
  return JSON.parse(text) as Outline;
}

function describeSuite(suite: Mocha.Suite): Outline {
  return {
    title: suite.title,
    tests: suite.tests.map((test) => ({ title: test.title, fullTitle: titleOf(test) })),
    suites: suite.suites.map(describeSuite),
  };
}

if (process.argv[1] === self) {
  const mocha = new Mocha();
  for (const file of process.argv.slice(2)) mocha.addFile(file);
  await mocha.loadFilesAsync();
  process.stdout.write(JSON.stringify(describeSuite(mocha.suite)), () => process.exit());
}
