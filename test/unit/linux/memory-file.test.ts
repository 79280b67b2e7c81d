import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { isInMemory, readMemoryFile, readMemoryLink } from '../../../src/linux/memory-file.js';

describe('readMemoryFile', () => {
  it('gives the whole text, of any length', () => {
    // This file of procfs is longer than one read and does not change.
    const path = '/proc/kallsyms';
    assert.equal(readMemoryFile(path)?.length, readFileSync(path, 'utf8').length);
    assert.equal(readMemoryFile('/proc/self/comm'), readFileSync('/proc/self/comm', 'utf8'));
  });

  it('gives nothing for what is not there', () => {
    assert.equal(readMemoryFile('/proc/self/nothing'), undefined);
    assert.equal(readMemoryFile('/proc/self/comm/nothing'), undefined);
  });

  it('throws, with the errno, for what cannot be read', () => {
    assert.throws(() => readMemoryFile('/proc/self'), { code: 'EISDIR', syscall: 'read' });
    assert.throws(() => readMemoryFile(`/proc/${'x'.repeat(5000)}`), { code: 'ENAMETOOLONG' });
  });
});

describe('readMemoryLink', () => {
  it('gives what a link says, and nothing where there is none', () => {
    assert.equal(readMemoryLink('/proc/self'), String(process.pid));
    assert.equal(readMemoryLink('/proc/nothing'), undefined);
    assert.throws(() => readMemoryLink('/proc/self/comm'), { code: 'EINVAL' });
  });
});

describe('isInMemory', () => {
  it('tells whether there is such a file', () => {
    assert.deepEqual(['/proc/self', '/proc/self/nothing'].map(isInMemory), [true, false]);
  });
});
