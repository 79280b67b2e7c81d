/**
 * Boots User-Mode Linux for test files, started by hand, and shows its console:
 *
 *   npm run uml -- dist/test/integration/mapper/bed.uml.js [--grep PATTERN]
 *
 * Without a file, runs all of them. Exits with 0 if no test has failed and at least one has passed.
 */
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { boot } from './boot.js';
import { innerEnvironment, innerFiles } from './inner-tests.js';

const { values, positionals } = parseArgs({
  options: { grep: { type: 'string' } },
  allowPositionals: true,
});
const count = { passed: 0, failed: 0, skipped: 0 };
const job = {
  files: positionals.length > 0 ? positionals.map((file) => resolve(file)) : innerFiles(),
  env: innerEnvironment(),
  loud: true,
  ...(values.grep === undefined ? {} : { grep: values.grep }),
};
await using machine = boot(job, { onConsole: (text) => process.stdout.write(text) });
for await (const { event } of machine.events()) if (event in count) count[event as 'passed']++;
console.log(`${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped`);
process.exitCode = count.failed === 0 && count.passed > 0 ? 0 : 1;
