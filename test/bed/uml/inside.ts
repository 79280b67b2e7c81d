/**
 * The program inside User-Mode Linux. It runs the test files of the job with mocha, and writes
 * every result at once to a file that the host reads. init.sh starts it with the directory of the
 * job.
 */
import { fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';
import { format } from 'node:util';
import Mocha from 'mocha';
import { eventsFile, type InnerEvent, type Job, jobFile, titleOf } from './job.js';

const directory = process.argv[2] ?? '';
const job = JSON.parse(readFileSync(jobFile(directory), 'utf8')) as Job;
Object.assign(process.env, job.env);
const events = openSync(eventsFile(directory), 'a');

function tell(event: InnerEvent): void {
  writeSync(events, `${JSON.stringify(event)}\n`);
  // The host does not see the page cache of hostfs, so the file must be synced.
  fsyncSync(events);
}

const toConsole = console.log;
console.log = (...args: unknown[]) => {
  tell({ event: 'said', text: format(...args) });
  if (job.loud) toConsole(...args);
};

const mocha = new Mocha({
  timeout: 90_000,
  forbidOnly: true,
  color: false,
  reporter: class Silent extends Mocha.reporters.Base {},
  ...(job.grep === undefined ? {} : { grep: job.grep }),
});
for (const file of job.files) mocha.addFile(file);

function watch(runner: Mocha.Runner): void {
  const say = (mark: string, title: string) => void (job.loud && toConsole(`  ${mark} ${title}`));
  const begins = (what: Mocha.Runnable) =>
    tell({ event: 'begins', title: titleOf(what), timeoutMs: what.timeout() });
  runner.on('hook', begins);
  runner.on('test', begins);
  runner.on('pass', (test) => {
    const milliseconds = test.duration ?? 0;
    tell({ event: 'passed', title: titleOf(test), milliseconds });
    say('✔', `${titleOf(test)} (${milliseconds} ms)`);
  });
  runner.on('fail', (test, error: Error) => {
    const { message, stack = message } = error;
    const title = titleOf(test);
    tell({ event: 'failed', title, milliseconds: test.duration ?? 0, message, stack });
    say('✘', `${title}\n${stack}`);
  });
  runner.on('pending', (test) => {
    tell({ event: 'skipped', title: titleOf(test) });
    say('-', titleOf(test));
  });
}

await mocha.loadFilesAsync();
watch(mocha.run(() => tell({ event: 'ended' })));
