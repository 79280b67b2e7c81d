import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DaemonLog, Priority } from '../../../src/daemon/log.js';

describe('the log of the daemon', () => {
  let directory: string;
  let file: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'xen-log-'));
    file = join(directory, 'daemon.log');
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  const read = (path: string): string => readFileSync(path, 'utf8');

  it('has a line for each thing said, with time and process, and no second one', () => {
    const log = new DaemonLog({ file, environment: {} });
    log.write(Priority.info, 'one\ntwo');
    assert.match(read(file), /^\d{4}-\d\d-\d\dT[\d:.]+Z xen-blkback\[\d+\]: one two\n$/);
  });

  it('goes on in the renamed file until it is opened again', () => {
    const log = new DaemonLog({ file, environment: {} });
    log.write(Priority.info, 'first');
    renameSync(file, `${file}.1`);
    log.write(Priority.info, 'second');
    log.reopen();
    log.write(Priority.info, 'third');
    assert.match(read(`${file}.1`), /first\n.*second\n$/);
    assert.match(read(file), /^[^\n]*third\n$/);
  });

  it('stays where it is if it cannot be opened again', () => {
    const log = new DaemonLog({ file, environment: {} });
    renameSync(directory, `${directory}-away`);
    try {
      log.reopen();
      log.write(Priority.info, 'still here');
    } finally {
      renameSync(`${directory}-away`, directory);
    }
    assert.match(read(file), /the log stays where it is: ENOENT.*\n.*still here\n$/);
  });

  it('is refused where it cannot be opened at all', () => {
    assert.throws(
      () => new DaemonLog({ file: join(directory, 'no/such'), environment: {} }),
      /ENOENT/,
    );
  });
});
