import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from '../bed/paths.js';

const ADDON = join(projectRoot, 'native/build/Release/blkback.node');

describe('The addon', () => {
  it('is linked with no library of Xen, and set-up installs none to build it', () => {
    const libraries = execFileSync('ldd', [ADDON], { encoding: 'utf8' });
    assert.match(libraries, /libc\.so/);
    assert.doesNotMatch(libraries, /xen/i);
    const setup = readFileSync(join(projectRoot, '.ci/setup'), 'utf8');
    const [, packages] = /^packages='([^']*)'$/m.exec(setup) ?? [];
    assert.equal(packages, 'g++ make python3');
  });

  it('has its own relocations made read-only before it runs', () => {
    const headers = execFileSync('readelf', ['-ldW', ADDON], { encoding: 'utf8' });
    assert.match(headers, /GNU_RELRO/);
    assert.match(headers, /BIND_NOW/);
  });
});
