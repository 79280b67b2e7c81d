import { encodePath } from './path-bytes.js';

/**
 * Quotes a value from outside for one line: control characters are escaped, and the text is cut
 * after 100 characters.
 */
export function quote(text: string): string {
  return toOneLine(JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text));
}

/**
 * Makes any text fit for one line of a log or terminal, without line ends and control characters.
 * The name of a guest or file must not turn the direction of writing either, because that would
 * show the words in another order (Unicode's Bidi_Control).
 */
export function toOneLine(text: string): string {
  return text.replace(/\s+/g, ' ').replace(/[\p{Cc}\p{Bidi_Control}]/gu, '?');
}

/**
 * Shows a value as it is in one line of a table: the bytes of control characters, of characters that
 * turn the direction of writing, and those that are not UTF-8 (`decodePath`) become `\xNN`, as in
 * the tables of lsblk and losetup. Otherwise the value of a guest or toolstack could drive the
 * terminal, or look like another value.
 */
export function toCell(text: string): string {
  return text.replace(/[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}\udc80-\udcff]/gu, (character) =>
    [...encodePath(character)].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join(''),
  );
}

/** Does the same for a text of several lines. */
export function toLines(text: string): string {
  return text.split('\n').map(toCell).join('\n');
}

/**
 * Bytes. This is enough for any sentence, and far below the 2048 bytes of a driver domain's quota.
 */
const LONGEST_MESSAGE = 1024;

const ELLIPSIS = '…';

/**
 * Removes the middle of a message of more than 1024 bytes, no more than is needed. The end stays,
 * because it says what is wrong.
 */
export function shorten(message: string): string {
  const bytes = Buffer.from(message);
  if (bytes.length <= LONGEST_MESSAGE) return message;
  const kept = LONGEST_MESSAGE - Buffer.byteLength(ELLIPSIS);
  let head = Math.floor(kept / 2);
  while (isWithinCharacter(bytes, head)) head--;
  let tail = bytes.length - (kept - head);
  while (isWithinCharacter(bytes, tail)) tail++;
  return `${bytes.toString('utf8', 0, head)}${ELLIPSIS}${bytes.toString('utf8', tail)}`;
}

/** Tells whether a character of UTF-8 begins before this byte and goes on with it. */
function isWithinCharacter(bytes: Buffer, at: number): boolean {
  return ((bytes[at] ?? 0) & 0xc0) === 0x80;
}
