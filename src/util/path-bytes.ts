/**
 * A path is bytes to the kernel, and need not be UTF-8. In here it is a string all the same: a byte that
 * is part of no UTF-8 character stands as a lone surrogate, U+DC80 for 0x80 up to U+DCFF for 0xff, which
 * no UTF-8 text can contain. So every path has one string, and every such string one path.
 */

const STRICT = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const [ESCAPES, LAST_ESCAPE] = [0xdc00, 0xdcff];

/** The string of a path's bytes. */
export function decodePath(bytes: Uint8Array): string {
  try {
    return STRICT.decode(bytes);
  } catch {
    return decodeByCharacters(bytes);
  }
}

function decodeByCharacters(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; ) {
    const length = characterLength(bytes.subarray(at, at + 4));
    if (length > 0) text += STRICT.decode(bytes.subarray(at, at + length));
    else text += String.fromCharCode(ESCAPES + (bytes[at] ?? 0));
    at += Math.max(length, 1);
  }
  return text;
}

/** How many bytes the UTF-8 character at the start has; 0 where there is none. */
function characterLength(bytes: Uint8Array): number {
  for (let length = 1; length <= bytes.length; length++) {
    try {
      STRICT.decode(bytes.subarray(0, length));
      return length;
    } catch {
      // It may need one more.
    }
  }
  return 0;
}

/** The bytes of a path's string, without a NUL at the end. */
export function encodePath(path: string): Buffer {
  if (!/[\udc80-\udcff]/u.test(path)) return Buffer.from(path);
  return Buffer.concat([...path].map(encodeCharacter));
}

function encodeCharacter(character: string): Buffer {
  const code = character.codePointAt(0) ?? 0;
  return isEscape(code) ? Buffer.of(code - ESCAPES) : Buffer.from(character);
}

function isEscape(code: number): boolean {
  return code >= ESCAPES + 0x80 && code <= LAST_ESCAPE;
}

/**
 * A path for the middle of a sentence: as it is, or in quotes where it has blanks at an end, control
 * characters, or bytes that are no text, which stand as `\xNN` then.
 */
export function showPath(path: string): string {
  if (!/^\s|\s$|[\p{Cc}\udc80-\udcff]/u.test(path)) return path;
  const shown = [...path].map((character) => {
    const code = character.codePointAt(0) ?? 0;
    if (isEscape(code)) return `\\x${(code - ESCAPES).toString(16)}`;
    // JSON leaves those as they are, and to a terminal U+009B begins a command.
    if (code >= 0x7f && code <= 0x9f) return `\\u00${code.toString(16)}`;
    return JSON.stringify(character).slice(1, -1);
  });
  return `"${shown.join('')}"`;
}
