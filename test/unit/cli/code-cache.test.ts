import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cacheName, PROGRAMS, writeCodeCache } from '../../../src/cli/code-cache.js';
import { projectRoot } from '../../bed/paths.js';

const MODULE = join(projectRoot, 'dist/src/cli/code-cache.js');

describe('The code cache of a program', () => {
  let directory: string;
  let file: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'xen-blkback-code-'));
    file = join(directory, 'program.cjs');
    write('one');
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  function write(word: string): void {
    writeFileSync(file, `globalThis.said=(function(){return '${word}'})();`);
  }

  /**
   * Runs the program in another process, because V8 remembers what this one has compiled. Returns
   * what the program says, and whether V8 has taken the cache, has refused it, or was given none.
   */
  function run(program = file): { said: string; cache: 'taken' | 'refused' | 'none' } {
    const script = `import { createRequire } from 'node:module';
      import { loadProgram } from ${JSON.stringify(MODULE)};
      const file = ${JSON.stringify(program)};
      const { cachedDataRejected } = loadProgram(file);
      const cache = cachedDataRejected === undefined ? 'none' : cachedDataRejected ? 'refused' : 'taken';
      if (${program === file}) loadProgram(file).runInThisContext()(createRequire(file), file);
      console.log(JSON.stringify({ said: globalThis.said, cache }));`;
    const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script]);
    return JSON.parse(stdout.toString());
  }

  it('is used by other processes after it has been written', () => {
    assert.deepEqual(run(), { said: 'one', cache: 'none' });
    writeCodeCache(file);
    assert.deepEqual(run(), { said: 'one', cache: 'taken' });
  });

  it('is not used for another text of the same length', () => {
    writeCodeCache(file);
    write('two');
    assert.deepEqual(run(), { said: 'two', cache: 'none' });
  });

  it('is not used for another text of the same length and of the same second', () => {
    writeCodeCache(file);
    const second = Math.floor(statSync(file).mtimeMs / 1000);
    write('two');
    utimesSync(file, second, second);
    assert.deepEqual(run(), { said: 'two', cache: 'none' });
  });

  it('is not used where a part of it is missing', () => {
    writeCodeCache(file);
    const { size } = statSync(cacheName(file));
    for (const length of [size - 1, 256, 50, 0]) {
      truncateSync(cacheName(file), length);
      assert.deepEqual(run(), { said: 'one', cache: 'none' }, `${length} of ${size} bytes`);
    }
  });

  it('only costs time where another V8 has made it', () => {
    writeCodeCache(file);
    const bytes = readFileSync(cacheName(file));
    // The second word of V8's data is a hash of the version.
    bytes.writeUInt32LE((bytes.readUInt32LE(260) ^ 1) >>> 0, 260);
    writeFileSync(cacheName(file), bytes);
    assert.deepEqual(run(), { said: 'one', cache: 'refused' });
  });

  it('is not used where another Node.js of the same V8 has made it', () => {
    writeCodeCache(file);
    const bytes = readFileSync(cacheName(file));
    const header = bytes.toString('latin1', 0, 256);
    assert.ok(header.includes(`${process.version} ${process.arch} `));
    const { size } = statSync(process.execPath);
    for (const [mine, other] of [
      [
        process.version,
        process.version.replace(/\d$/, (digit) => String((Number(digit) + 1) % 10)),
      ],
      [`/${size}/`, `/${String(size).replace(/^\d/, (digit) => (digit === '9' ? '8' : '9'))}/`],
    ] as const) {
      bytes.write(header.replace(mine, other), 0, 'latin1');
      writeFileSync(cacheName(file), bytes);
      assert.deepEqual(run(), { said: 'one', cache: 'none' }, other);
    }
    bytes.write(header, 0, 'latin1');
    writeFileSync(cacheName(file), bytes);
    assert.deepEqual(run(), { said: 'one', cache: 'taken' });
  });

  it('is not used for a text of the same length and the same time, as archives set it', () => {
    const { atime, mtime } = statSync(file);
    writeCodeCache(file);
    write('two');
    utimesSync(file, atime, mtime);
    assert.deepEqual(run(), { said: 'two', cache: 'none' });
  });

  it('leaves no other file behind, and none where there is no program', () => {
    writeCodeCache(file);
    assert.throws(() => writeCodeCache(join(directory, 'absent.cjs')), { code: 'ENOENT' });
    assert.deepEqual(readdirSync(directory), ['program.cjs', 'program.cjs.cache']);
  });

  it('is there for each program of a build, and serves the Node.js that has built it', () => {
    for (const name of PROGRAMS) {
      const program = join(projectRoot, 'dist/code', `${name}.cjs`);
      assert.equal(run(program).cache, 'taken', name);
      // The text is read as Latin-1.
      assert.match(readFileSync(program, 'utf8'), /^[\0-\x7f]*$/, name);
    }
  });
});
