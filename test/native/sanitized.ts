import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { projectRoot } from '../bed/paths.js';

/** The compiled project once more, below `root`, with addons that were built for AddressSanitizer. */
export function buildSanitized(root: string): void {
  mkdirSync(join(root, 'native'));
  for (const name of readdirSync(join(projectRoot, 'native'))) {
    if (name !== 'build')
      copyFileSync(join(projectRoot, 'native', name), join(root, 'native', name));
  }
  cpSync(join(projectRoot, 'dist'), join(root, 'dist'), { recursive: true });
  cpSync(join(projectRoot, 'package.json'), join(root, 'package.json'));
  symlinkSync(join(projectRoot, 'node_modules'), join(root, 'node_modules'));
  linkSanitized(root);
}

/** Links the addons there anew. Through binding.gyp, so that the flags are those of what is used. */
export function linkSanitized(root: string, linkerFlags = ''): void {
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

/**
 * Runs a program of dist there; returns those of the sanitizer's reports that name what matches `ours`.
 * Leaks of Node itself are not ours to mend, and neither are objects of V8 that a call of ours asked for.
 */
export function runSanitized(
  root: string,
  program: string,
  args: string[],
  ours: RegExp,
  env: NodeJS.ProcessEnv = {},
) {
  const library = execFileSync('g++', ['-print-file-name=libasan.so'], { encoding: 'utf8' }).trim();
  const run = spawnSync(process.execPath, [join(root, 'dist', program), ...args], {
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
  const errors = reports.filter(
    (text) => /ERROR|leak of/.test(text) && ours.test(text) && !/#1 0x\w+ in v8::/.test(text),
  );
  return { errors, output: run.stdout };
}
