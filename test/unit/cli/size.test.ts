import assert from 'node:assert/strict';
import { parseSize } from '../../../src/cli/size.js';

describe('parseSize', () => {
  for (const [text, bytes] of [
    ['1', 1n],
    ['1048576', 1048576n],
    ['1K', 1024n],
    ['3M', 3n * 1024n ** 2n],
    ['10G', 10n * 1024n ** 3n],
    ['8191T', 8191n * 1024n ** 4n],
  ] as const) {
    it(`takes ${text}`, () => assert.equal(parseSize(text), bytes));
  }
  for (const text of [
    '',
    '0',
    '-1',
    '+1G',
    '1.5G',
    '10g',
    '10X',
    '1GB',
    ' 1',
    '8192T',
    '9'.repeat(17),
  ]) {
    it(`does not take ${JSON.stringify(text)}`, () =>
      assert.throws(() => parseSize(text), { code: 'EUSAGE' }));
  }
});
