// Checks for the arguments of library functions. No compiler checks the arguments of a program in
// JavaScript. The checks refuse a wrong value, and name it, before anything is opened or written.

import { inspect } from 'node:util';
import { didYouMean } from '../util/did-you-mean.js';
import { shorten } from '../util/one-line.js';
import { parseVbdPath, type VbdPath } from '../vbd/vbd-path.js';
import type { Xenstore } from '../xenstore/xenstore.js';
import { ArgumentError } from './argument-error.js';

/** A check of the value of an option, and a description of the values that it accepts. */
export interface Check {
  readonly expected: string;
  readonly holds: (value: unknown) => boolean;
}

/** Node.js fires a timer at once if its time is longer; milliseconds. */
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1;
const LARGEST_DOMID = 0x7ff0;

export const TIMEOUT: Check = {
  expected: `milliseconds from 1 to ${LONGEST_TIMEOUT_MS}`,
  holds: (value) => typeof value === 'number' && value >= 1 && value <= LONGEST_TIMEOUT_MS,
};
export const ABSOLUTE_PATH: Check = {
  expected: 'an absolute path',
  holds: (value) => typeof value === 'string' && value.startsWith('/') && !value.includes('\0'),
};
export const YES_OR_NO: Check = {
  expected: 'true or false',
  holds: (value) => typeof value === 'boolean',
};
export const SIGNAL: Check = {
  expected: 'an AbortSignal',
  holds: (value) => value instanceof AbortSignal,
};
export const CALLBACK: Check = {
  expected: 'a function',
  holds: (value) => typeof value === 'function',
};
export const DOMID: Check = {
  expected: `the number of a domain, from 0 to ${LARGEST_DOMID - 1}`,
  holds: (value) =>
    typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < LARGEST_DOMID,
};
export const FILE_NAMES: Check = {
  expected: 'a list of file names without directories',
  holds: (value) =>
    Array.isArray(value) &&
    value.every((name) => typeof name === 'string' && /^[^\s/]+$/.test(name)),
};

/** Returns a check that accepts only the given texts. */
export function oneOf(choices: readonly string[]): Check {
  return {
    expected: `one of ${choices.join(', ')}`,
    holds: (value) => choices.some((choice) => choice === value),
  };
}

/**
 * Checks the options of the function `caller`. An option that is `undefined` counts as left out.
 * Throws `ArgumentError` for an unknown option and for an invalid value.
 */
export function checkOptions<Options extends object>(
  caller: string,
  options: Options,
  checks: Readonly<Record<keyof Options & string, Check>>,
): void {
  if (typeof options !== 'object' || options === null) {
    throw new ArgumentError(`${caller}: options is ${show(options)}: an object is needed`);
  }
  const known = new Map<string, Check>(Object.entries(checks));
  for (const [name, value] of Object.entries(options)) {
    const check = known.get(name);
    if (check === undefined) {
      const names = [...known.keys()];
      const nearest = didYouMean(name, names) || `: there are ${names.join(', ')}`;
      throw new ArgumentError(`${caller}: there is no option ${name}${nearest}`);
    }
    if (value === undefined || check.holds(value)) continue;
    throw new ArgumentError(`${caller}: ${name} is ${show(value)}: ${check.expected} is needed`);
  }
}

/** Merges `given` over `defaults`. An option that is `undefined` counts as left out. */
export function withDefaults<Defaults extends object, Given extends object>(
  defaults: Defaults,
  given: Given,
): Defaults & Given {
  const entries = Object.entries(given).filter(([, value]) => value !== undefined);
  return { ...defaults, ...(Object.fromEntries(entries) as Given) };
}

/** Throws `ArgumentError` unless `store` is a connection to XenStore. */
export function checkStore(caller: string, store: Xenstore): void {
  const isStore =
    typeof store === 'object' && store !== null && typeof store.transact === 'function';
  if (isStore) return;
  throw new ArgumentError(
    `${caller}: store is ${show(store)}: what openXenstore() resolves with is needed`,
  );
}

/** Returns the vbd that an argument names. Throws `ArgumentError` if the argument names none. */
export function requireVbd(caller: string, vbd: VbdPath | string): VbdPath {
  const backend: unknown = typeof vbd === 'string' ? vbd : Object(vbd).backend;
  const parsed = typeof backend === 'string' ? parseVbdPath(backend) : undefined;
  if (parsed === undefined) {
    throw new ArgumentError(
      `${caller}: vbd is ${show(vbd)}: a backend path such as backend/vbd/7/51712 is needed`,
    );
  }
  return typeof vbd === 'string' ? parsed : vbd;
}

/** Returns a value as a short text for a message. */
export function show(value: unknown): string {
  return shorten(inspect(value, { depth: 0, breakLength: Number.POSITIVE_INFINITY }));
}
