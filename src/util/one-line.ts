/**
 * Quotes a value from outside for one line: control characters are escaped, and the text is cut
 * after 100 characters.
 */
export function quote(text: string): string {
  return toOneLine(JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text));
}

/**
 * Makes any text fit for one line of a log or terminal, without line ends and control characters.
 */
export function toOneLine(text: string): string {
  return text.replace(/\s+/g, ' ').replace(/\p{Cc}/gu, '?');
}

/**
 * Bytes. This is enough for any sentence, and far below the 2048 bytes of a driver domain's quota.
 */
const LONGEST_MESSAGE = 1024;

/**
 * Removes the middle of a message of more than 1024 bytes. The end stays, because it says what is
 * wrong.
 */
export function shorten(message: string): string {
  if (Buffer.byteLength(message) <= LONGEST_MESSAGE) return message;
  const letters = [...message];
  // A character has at most four bytes, and the ellipsis has three.
  const kept = Math.floor((LONGEST_MESSAGE - 3) / 8);
  return `${letters.slice(0, kept).join('')}…${letters.slice(-kept).join('')}`;
}
