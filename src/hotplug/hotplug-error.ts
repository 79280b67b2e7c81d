import { BlkbackError } from '../errors.js';

/**
 * An attach or detach that cannot be done as asked. `code` is one of
 * - `EVBD`: XENBUS_PATH or another part of the call names no vbd;
 * - `EBACKEND`: the backend directory is missing, or incomplete;
 * - `ETARGET`: `params` is not a target;
 * - `EMODE`: `mode` is not a mode;
 * - `EPUBLISHED`: `physical-device` is there already and names another device;
 * - `ERACE`: somebody else published a device in between;
 * - `EOPEN`: blkback has a device open that XenStore does not name;
 * - `ESTATE`: blkback is in a state in which it takes no device;
 * - `EBLKBACK`: blkback refused or closed the device;
 * - `EGONE`: the backend directory went away in the middle;
 * - `ERECORD`: the record of what is to be undone cannot be kept;
 * - `EBUSY`: others use the same bytes in a way that forbids it; the message says who;
 * - `ELOCK`: what keeps two adds of the same bytes apart cannot be locked;
 * - `EONLINE`: the vbd is still in use;
 * - `ETIMEDOUT`: the deadline passed; the message says what was waited for;
 * - `ECANCELED`: interrupted by a signal.
 */
export class HotplugError extends BlkbackError {}

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
