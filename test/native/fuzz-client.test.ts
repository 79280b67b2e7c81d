import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { effort } from '../bed/effort.js';
import { projectRoot } from '../bed/paths.js';

const FLAGS = ['-DOWN_LOOP', '-O1', '-g', '-std=gnu2x', '-Wall', '-Wextra', '-Werror'];
const SANITIZERS = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all'];

describe('the compiled client under AddressSanitizer', function () {
  const seconds = effort(60, 1);
  this.timeout((seconds + 60) * 1000);
  let directory: string;
  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'xen-fuzz-'));
  });
  after(() => rmSync(directory, { recursive: true, force: true }));

  it(`reads whatever stands in a configuration file, or comes from a daemon (${seconds} s)`, () => {
    const program = join(directory, 'fuzz-client');
    const source = join(projectRoot, 'test/native/fuzz-client.c');
    execFileSync('gcc', [...FLAGS, ...SANITIZERS, '-o', program, source]);
    const seed = String(Date.now() % 2 ** 31);
    try {
      execFileSync(program, [String(seconds), seed], { stdio: ['ignore', 'ignore', 'pipe'] });
    } catch (error) {
      throw new Error(`fuzz-client ${seconds} ${seed} has failed`, { cause: error });
    }
  });
});
