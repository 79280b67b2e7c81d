import assert from 'node:assert/strict';
import { checkPath, checkValue, checkWatchPath } from '../../../src/xenstore/path.js';
import { XenstoreError } from '../../../src/xenstore/xenstore-error.js';

/** Returns the error that `check` throws. Fails unless the error has this code. */
function refusal(code: string, check: () => unknown): XenstoreError {
  try {
    check();
  } catch (error) {
    assert.ok(error instanceof XenstoreError);
    assert.equal(error.code, code);
    return error;
  }
  return assert.fail('nothing was refused');
}

describe('XenStore paths', () => {
  for (const path of ['/', '/a', 'a', 'backend/vbd/7/51712', '/local/domain/0/A-Z_0@b']) {
    it(`takes ${path}`, () => {
      checkPath(path);
      checkWatchPath(path);
    });
  }

  const bad = {
    '': /it is empty/,
    'a/': /ends with '\/'/,
    'a//b': /'\/\/'/,
    '//': /ends with '\/'/,
    'a.b': /character "\."/,
    'a:b': /character ":"/,
    'a b': /character " "/,
    'a\0b': /character "\\u0000"/,
    'a\n': /character "\\n"/,
    ä: /character "ä"/,
    '😀': /character "😀"/,
    '@releaseDomains': /can only be watched/,
  };
  for (const [path, fault] of Object.entries(bad)) {
    it(`refuses ${JSON.stringify(path)}`, () => {
      const error = refusal('EINVAL', () => checkPath(path));
      assert.match(error.message, fault);
      assert.equal(error.path, path);
      refusal('EINVAL', () => checkWatchPath(path));
    });
  }

  it('lets the special paths be watched, and nothing else', () => {
    for (const path of ['@releaseDomain', '@introduceDomain']) {
      checkWatchPath(path);
      refusal('EINVAL', () => checkPath(path));
    }
  });

  it('counts the length from where the domain begins', () => {
    const long = 'x'.repeat(2048);
    for (const [head, room] of [
      ['', 2048],
      ['/', 2047],
      ['/local/domain/0/', 2048],
      ['/local/domain/12345/', 2048],
      ['/local/domain/123456/', 2027],
      ['/local/domains/0/', 2031],
    ] as const) {
      checkPath(head + long.slice(0, room));
      refusal('E2BIG', () => checkPath(`${head}${long.slice(0, room)}x`));
    }
  });
});

describe('XenStore values', () => {
  it('are bytes: text as UTF-8, arrays as they lie', () => {
    assert.deepEqual(checkValue('a', 'ä'), Buffer.from([0xc3, 0xa4]));
    assert.deepEqual(checkValue('a', ''), Buffer.alloc(0));
    const bytes = new Uint8Array([0, 1, 2, 3]).subarray(1, 3);
    assert.deepEqual(checkValue('a', bytes), Buffer.from([1, 2]));
  });

  it('fit into one request beside their path', () => {
    checkValue('abc', 'x'.repeat(4092));
    const error = refusal('E2BIG', () => checkValue('abc', 'x'.repeat(4093)));
    assert.match(error.message, /4093 bytes, 4092 fit/);
    refusal('E2BIG', () => checkValue('abc', 'ä'.repeat(2047)));
  });
});
