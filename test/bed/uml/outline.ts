/**
 * Prints as JSON which tests the test files named in the arguments have, without running any. A process
 * of its own, because a mocha that is running takes what other files define for its own.
 */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import Mocha from 'mocha';
import { titleOf } from './job.js';

/** A suite of test files, and what is in it. */
export interface Outline {
  readonly title: string;
  /** Title of the test itself, and the one by which both sides know it. */
  readonly tests: readonly { readonly title: string; readonly fullTitle: string }[];
  readonly suites: readonly Outline[];
}

const self = fileURLToPath(import.meta.url);

/** The tests in compiled test files. */
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
