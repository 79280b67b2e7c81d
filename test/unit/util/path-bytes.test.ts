import assert from 'node:assert/strict';
import { decodePath, encodePath, showPath } from '../../../src/util/path-bytes.js';

describe('A path as a string', () => {
  for (const bytes of [
    Buffer.from('/plain'),
    Buffer.from('/däta/ü €/\u{1f4be}'),
    Buffer.from('/caf\xe9', 'latin1'),
    Buffer.from([0x2f, 0xff, 0xfe, 0x80, 0xc3]),
    // A surrogate in UTF-8, an overlong slash, and a number beyond Unicode are not text.
    Buffer.from([0x2f, 0xed, 0xb2, 0x80, 0xc0, 0xaf, 0xf5, 0x80, 0x80, 0x80]),
    Buffer.from([0x2f, 0xe2, 0x82, 0x2f, 0xe2, 0x82, 0xac]),
    Buffer.from('\ufeff/with-a-mark'),
  ]) {
    it(`has the very bytes again: ${bytes.toString('hex')}`, () => {
      assert.deepEqual(encodePath(decodePath(bytes)), bytes);
    });
  }

  it('is another one for other bytes, whatever they are', () => {
    const all = Array.from({ length: 256 }, (_, byte) => decodePath(Buffer.of(0x2f, byte)));
    assert.equal(new Set(all).size, 256);
  });

  it('is shown in quotes where it could not be told from its sentence', () => {
    assert.equal(showPath('/a b/ü'), '/a b/ü');
    assert.equal(showPath('/a '), '"/a "');
    assert.equal(showPath('/a\n'), '"/a\\n"');
    assert.equal(showPath('/a\tb'), '"/a\\tb"');
    assert.equal(showPath('/a\u009bb\u007f'), '"/a\\u009bb\\u007f"');
    assert.equal(showPath(decodePath(Buffer.from('/caf\xe9', 'latin1'))), '"/caf\\xe9"');
  });
});
