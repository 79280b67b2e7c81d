// A path is bytes to the kernel and need not be UTF-8. In this program a path is a string all the
// same. A byte that is not part of a UTF-8 character becomes a lone surrogate, from U+DC80 for 0x80
// to U+DCFF for 0xff. No UTF-8 text can contain a lone surrogate, so each path has exactly one
// string, and each of these strings has exactly one path.

const STRICT = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const [ESCAPES, LAST_ESCAPE] = [0xdc00, 0xdcff];

/** Returns the string for the bytes of a path. */
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

/** Returns the number of bytes of the UTF-8 character at the start, 0 if there is none. */
function characterLength(bytes: Uint8Array): number {
  for (let length = 1; length <= bytes.length; length++) {
    try {
      STRICT.decode(bytes.subarray(0, length));
      return length;
    } catch {
      // The character may need one more byte.
    }
  }
  return 0;
}

/** Returns the bytes for the string of a path, without a NUL at the end. */
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
 * Formats a path for the middle of a sentence. A path with blanks at an end, control characters or
 * bytes that are not UTF-8 is put in quotes, with those bytes as `\xNN`. Every other path stays as
 * it is.
 */
export function showPath(path: string): string {
  if (!/^\s|\s$|[\p{Cc}\udc80-\udcff]/u.test(path)) return path;
  const shown = [...path].map((character) => {
    const code = character.codePointAt(0) ?? 0;
    if (isEscape(code)) return `\\x${(code - ESCAPES).toString(16)}`;
    // JSON does not escape U+007F to U+009F, but U+009B begins a command of a terminal.
    if (code >= 0x7f && code <= 0x9f) return `\\u00${code.toString(16)}`;
    return JSON.stringify(character).slice(1, -1);
  });
  return `"${shown.join('')}"`;
}

/**
 * Leaves out what has no meaning in an absolute path: empty names and `.`, as in `/dev//mapper/./x`. A
 * path that names a device in its spelling does so with them as well. Pure.
 */
export function plainPath(path: string): string {
  return path.replace(/\/(?:\.?\/)+/g, '/');
}
