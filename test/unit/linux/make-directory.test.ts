import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeDirectory } from '../../../src/linux/make-directory.js';

describe('makeDirectory', () => {
  let directory: string;
  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'xen-mkdir-'));
  });
  after(() => rmSync(directory, { recursive: true }));

  it('makes a directory with its parents, for root only, and may be repeated', () => {
    const path = join(directory, 'a/b/c');
    for (let round = 0; round < 2; round++) makeDirectory(path);
    for (const made of [path, join(directory, 'a')]) {
      assert.equal(statSync(made).mode & 0o777, 0o700);
    }
  });

  it('fails at once where no directory can be made', () => {
    const [link, file] = [join(directory, 'link'), join(directory, 'file')];
    symlinkSync('/nonexistent/x', link);
    writeFileSync(file, '');
    for (const [path, code] of [
      ['/proc/nothing', 'ENOENT'],
      ['/proc/self/nothing/below', 'ENOENT'],
      [join(file, 'below'), 'ENOTDIR'],
      [link, 'EEXIST'],
      ['', 'ENOENT'],
    ] as const) {
      assert.throws(() => makeDirectory(path), { code, syscall: 'mkdir' }, path);
    }
  });
});
