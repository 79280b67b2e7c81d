import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DaemonLog, Priority } from '../../../src/daemon/log.js';
import { pause } from '../../../src/util/retry.js';

describe('the log of the daemon', () => {
  let directory: string;
  let file: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'xen-log-'));
    file = join(directory, 'daemon.log');
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  const read = (path: string): string => readFileSync(path, 'utf8');

  it('has a line for each thing said, with time and process, and no second one', async () => {
    const log = new DaemonLog({ file, environment: {} });
    log.write(Priority.info, 'one\ntwo');
    await log.flush();
    assert.match(read(file), /^\d{4}-\d\d-\d\dT[\d:.]+Z xen-blkback\[\d+\]: one two\n$/);
  });

  it('goes on in the renamed file until it is opened again', async () => {
    const log = new DaemonLog({ file, environment: {} });
    log.write(Priority.info, 'first');
    renameSync(file, `${file}.1`);
    log.write(Priority.info, 'second');
    await log.reopen();
    log.write(Priority.info, 'third');
    await log.flush();
    assert.match(read(`${file}.1`), /first\n.*second\n$/);
    assert.match(read(file), /^[^\n]*third\n$/);
  });

  it('stays where it is if it cannot be opened again', async () => {
    const log = new DaemonLog({ file, environment: {} });
    renameSync(directory, `${directory}-away`);
    try {
      await log.reopen();
      log.write(Priority.info, 'still here');
      await log.flush();
    } finally {
      renameSync(`${directory}-away`, directory);
    }
    assert.match(read(file), /the log stays where it is: .*ENOENT.*\n.*still here\n$/);
  });

  it('keeps nobody waiting where nobody reads it, and says how much of it was lost', async () => {
    const pipe = join(directory, 'pipe');
    spawnSync('mkfifo', [pipe]);
    // A pipe can be opened for writing without waiting only if somebody reads it.
    const reader = openSync(pipe, constants.O_RDONLY | constants.O_NONBLOCK);
    const log = new DaemonLog({ file: pipe, environment: {} });
    const line = 'x'.repeat(1000);
    const started = performance.now();
    for (let i = 0; i < 3000; i++) {
      log.write(Priority.info, line);
      if (i % 100 === 0) await pause(1);
    }
    assert.ok(performance.now() - started < 2000);
    let text = '';
    for (let i = 0; i < 500 && !/ lines could not be written here\n/.test(text); i++) {
      try {
        const bytes = Buffer.alloc(65_536);
        text += bytes.toString('latin1', 0, readSync(reader, bytes));
      } catch {
        await pause(5);
      }
    }
    assert.match(text, /^\d+ lines could not be written here$/m);
    closeSync(reader);
  });

  it('is refused where it cannot be opened at all', () => {
    assert.throws(
      () => new DaemonLog({ file: join(directory, 'no/such'), environment: {} }),
      /ENOENT/,
    );
  });
});
