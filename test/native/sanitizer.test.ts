import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { needs } from '../bed/needs.js';
import { projectRoot } from '../bed/paths.js';
import { startXenstored, type Xenstored } from '../bed/xenstored.js';

/** Frames of ours; leaks of Node itself are not ours to mend. */
const OURS = /blkback\.node|node-addon-api| \.\.\/\w+\.cc:/;

describe('the addon under AddressSanitizer', function () {
  this.timeout(120_000);
  let root: string;

  before(function () {
    needs(this, 'xenstored');
    root = mkdtempSync(join(tmpdir(), 'xen-asan-'));
    buildTree(root);
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

  it('is watched at all: a leak that is made on purpose is seen', async () => {
    await using xenstored = await startXenstored();
    // As if the addon never freed what it has made: a C++ compiler's name of `operator delete`.
    const forget = join(root, 'forget.cc');
    writeFileSync(forget, 'extern "C" void __wrap__ZdlPvm(void *, unsigned long) {}\n');
    execFileSync('g++', ['-c', '-fPIC', forget, '-o', join(root, 'forget.o')]);
    buildAddon(root, `${join(root, 'forget.o')} -Wl,--wrap=_ZdlPvm`);
    const { errors } = exercise(root, xenstored);
    assert.match(errors.join('\n'), /leak of \d+ byte/);
  });
});

/** The compiled project once more, with an addon that was built for the sanitizer. */
function buildTree(root: string): void {
  mkdirSync(join(root, 'native'));
  for (const name of readdirSync(join(projectRoot, 'native'))) {
    if (name !== 'build')
      copyFileSync(join(projectRoot, 'native', name), join(root, 'native', name));
  }
  cpSync(join(projectRoot, 'dist'), join(root, 'dist'), { recursive: true });
  cpSync(join(projectRoot, 'package.json'), join(root, 'package.json'));
  symlinkSync(join(projectRoot, 'node_modules'), join(root, 'node_modules'));
  buildAddon(root);
}

/** Through binding.gyp, so that the flags are those of the addon that is used. */
function buildAddon(root: string, linkerFlags = ''): void {
  const gyp = join(projectRoot, 'node_modules/.bin/node-gyp');
  const prefix = join(dirname(process.execPath), '..');
  const headers = existsSync(join(prefix, 'include/node/node_api.h'))
    ? [`--nodedir=${prefix}`]
    : [];
  const where = ['-C', join(root, 'native'), ...headers];
  // Not `rebuild`: what need not be compiled again is only linked.
  for (const args of [
    ['configure', ...where, '--', '-Dsanitize=1'],
    ['build', '-j', '2', ...where],
  ]) {
    execFileSync(gyp, args, { stdio: 'pipe', env: { ...process.env, LDFLAGS: linkerFlags } });
  }
}

/** Runs exercise.js there; returns the sanitizer's reports that name us. */
function exercise(root: string, { env, pid }: Xenstored) {
  const library = execFileSync('g++', ['-print-file-name=libasan.so'], { encoding: 'utf8' }).trim();
  const program = join(root, 'dist/test/native/exercise.js');
  const run = spawnSync(process.execPath, [program, String(pid)], {
    encoding: 'utf8',
    timeout: 60_000,
    env: {
      PATH: process.env.PATH,
      ...env,
      LD_PRELOAD: library,
      // Node's own leaks would end the process with a status of the sanitizer's.
      ASAN_OPTIONS: 'detect_leaks=1:exitcode=0:fast_unwind_on_malloc=0:malloc_context_size=12',
    },
  });
  assert.equal(run.status, 0, run.stderr);
  const reports = run.stderr.split(/\n\s*\n|(?==+\d+==ERROR)/);
  // Objects of V8 that a call of ours asked for are not ours to mend either.
  const errors = reports.filter(
    (text) => /ERROR|leak of/.test(text) && OURS.test(text) && !/#1 0x\w+ in v8::/.test(text),
  );
  return { errors, output: run.stdout };
}
