import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { needsFullEffort } from '../bed/effort.js';
import { needs } from '../bed/needs.js';
import { startXenstored, type Xenstored } from '../bed/xenstored.js';
import { buildSanitized, linkSanitized, runSanitized } from './sanitized.js';

/** Frames of ours; leaks of Node itself are not ours to mend. */
const OURS = /blkback\.node|node-addon-api| \.\.\/\w+\.cc:/;

describe('the addon under AddressSanitizer', function () {
  this.timeout(120_000);
  let root: string;

  before(function () {
    needs(this, 'xenstored');
    root = mkdtempSync(join(tmpdir(), 'xen-asan-'));
    buildSanitized(root);
  });
  after(() => {
    if (root !== undefined) rmSync(root, { recursive: true, force: true });
  });

  it('touches no freed or foreign memory, and leaks none, in whatever order things end', async () => {
    await using xenstored = await startXenstored();
    const { errors, output } = exercise(root, xenstored);
    assert.match(output, /^exercised 11 lives$/m);
    assert.deepEqual(errors, []);
  });

  it('is watched at all: a leak that is made on purpose is seen', async function () {
    needsFullEffort(this);
    await using xenstored = await startXenstored();
    // As if the addon never freed what it has made: a C++ compiler's name of `operator delete`.
    const forget = join(root, 'forget.cc');
    writeFileSync(forget, 'extern "C" void __wrap__ZdlPvm(void *, unsigned long) {}\n');
    execFileSync('g++', ['-c', '-fPIC', forget, '-o', join(root, 'forget.o')]);
    linkSanitized(root, `${join(root, 'forget.o')} -Wl,--wrap=_ZdlPvm`);
    const { errors } = exercise(root, xenstored);
    assert.match(errors.join('\n'), /leak of \d+ byte/);
  });
});

/** Runs exercise.js there; returns the sanitizer's reports that name us. */
function exercise(root: string, { env, pid }: Xenstored) {
  return runSanitized(root, 'test/native/exercise.js', [String(pid)], OURS, env);
}
