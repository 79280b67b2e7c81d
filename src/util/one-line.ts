/** A value from outside in quotes: control characters shown, length bounded, fit for one line. */
export function quote(text: string): string {
  return toOneLine(JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text));
}

/** Makes any text fit for one line of a log or terminal: no line ends, no control characters. */
export function toOneLine(text: string): string {
  return text.replace(/\s+/g, ' ').replace(/\p{Cc}/gu, '?');
}

/** Bytes; long enough for any sentence, and well within the 2048 of a driver domain's quota. */
const LONGEST_MESSAGE = 1024;

/** Takes out the middle of a message that is too long: what is wrong stands at its end. */
export function shorten(message: string): string {
  if (Buffer.byteLength(message) <= LONGEST_MESSAGE) return message;
  const letters = [...message];
  // A character has four bytes at the most, the ellipsis three.
  const kept = Math.floor((LONGEST_MESSAGE - 3) / 8);
  return `${letters.slice(0, kept).join('')}…${letters.slice(-kept).join('')}`;
}
