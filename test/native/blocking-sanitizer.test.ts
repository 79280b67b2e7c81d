import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { needsFullEffort } from '../bed/effort.js';
import { buildSanitized, linkSanitized, runSanitized } from './sanitized.js';

/** Frames are named by module, or where there is debug information by source. */
const OURS = /blkback\.node|\.\.\/(blkback|blocking)/;
const PROGRAM = 'test/native/exercise-blocking.js';

describe('calls that block, under AddressSanitizer', function () {
  this.timeout(180_000);
  let root: string;
  before(() => {
    root = mkdtempSync(join(tmpdir(), 'blocking-asan-'));
    buildSanitized(root);
  });
  after(() => {
    if (root !== undefined) rmSync(root, { recursive: true, force: true });
  });

  it('touch no freed memory, and leak none, whenever they come back and whoever has gone by then', () => {
    const { errors, output } = runSanitized(root, PROGRAM, [], OURS);
    assert.match(output, /^exercised \d+ lives$/m);
    assert.deepEqual(errors, []);
  });

  it('are watched at all: a leak that is made on purpose is seen', function () {
    needsFullEffort(this);
    const forget = join(root, 'forget.cc');
    // As if nothing that the addon allocates were ever freed.
    writeFileSync(
      forget,
      'extern "C" void __wrap__ZdlPvm(void *, unsigned long) {}\nextern "C" void __wrap__ZdlPv(void *) {}\n',
    );
    execFileSync('g++', ['-c', '-fPIC', forget, '-o', join(root, 'forget.o')]);
    linkSanitized(root, `${join(root, 'forget.o')} -Wl,--wrap=_ZdlPvm -Wl,--wrap=_ZdlPv`);
    const { errors } = runSanitized(root, PROGRAM, [], OURS);
    assert.match(errors.join('\n'), /leak of \d+ byte/);
  });
});
