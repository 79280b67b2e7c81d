import assert from 'node:assert/strict';
import { shorten, toCell, toLines, toOneLine } from '../../../src/util/one-line.js';

describe('A message that is shortened', () => {
  it('stays as it is up to 1024 bytes', () => {
    for (const message of ['', 'x'.repeat(1024), 'ä'.repeat(512)]) {
      assert.equal(shorten(message), message);
    }
  });

  for (const [what, letter, least] of [
    ['one byte', 'x', 1024],
    ['two bytes', 'ä', 1022],
    ['three bytes', '€', 1020],
    ['four bytes', '𝄞', 1018],
  ] as const) {
    it(`keeps as much of both ends as fits, with letters of ${what}`, () => {
      const short = shorten(`${letter.repeat(1000)}${'-'.repeat(1000)}${letter.repeat(1000)}`);
      const bytes = Buffer.byteLength(short);
      assert.ok(bytes <= 1024 && bytes >= least, `${bytes} bytes`);
      const [start = '', end = '', ...more] = short.split('…');
      assert.deepEqual(more, []);
      assert.equal(start, letter.repeat(start.length / letter.length));
      assert.equal(end, letter.repeat(end.length / letter.length));
      assert.ok(Math.abs(Buffer.byteLength(start) - Buffer.byteLength(end)) <= 4);
    });
  }

  it('keeps its end, which says what is wrong, where only one byte is too much', () => {
    const short = shorten(`${'x'.repeat(1000)}: no such file or device!`);
    assert.equal(Buffer.byteLength(short), 1024);
    assert.ok(short.endsWith(': no such file or device!'));
  });
});

describe('A text on one line', () => {
  for (const [what, text, shown] of [
    ['line ends and tabs', 'a\n\tb\u2028c', 'a b c'],
    ['escapes of a terminal', 'a\u001b[31m', 'a?[31m'],
    ['letters that turn the direction of writing', 'a\u202eb\u2067c\u200f', 'a?b?c?'],
  ] as const) {
    it(`has no ${what}`, () => assert.equal(toOneLine(text), shown));
  }

  it('keeps letters of any language', () => {
    const text = 'wörk, диск, 磁盤, قرص, 👩\u200d💻';
    assert.equal(toOneLine(text), text);
  });
});

describe('A value in a table', () => {
  for (const [what, text, shown] of [
    ['a line end', 'a\nb', 'a\\x0ab'],
    ['a command for a terminal', '\u001b[2J\u009b2J', '\\x1b[2J\\xc2\\x9b2J'],
    ['letters that turn the direction of writing', 'a\u202eb', 'a\\xe2\\x80\\xaeb'],
    ['a byte that is not UTF-8', 'a\udcffb', 'a\\xffb'],
    ['several blanks', 'a  b', 'a  b'],
  ] as const) {
    it(`shows ${what}`, () => assert.equal(toCell(text), shown));
  }

  it('may have several lines where it is a text', () => {
    assert.equal(toLines('a\tb\nc\n'), 'a\\x09b\nc\n');
  });
});
