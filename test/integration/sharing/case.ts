import type { SharingFixture } from './fixture.js';

/** The mode of a disk, as xl writes it: `!` asks to share the disk all the same. */
export type Mode = 'r' | 'w' | 'r!' | 'w!';
/** The modes as the titles say them. */
export const MODES = { r: 'read-only', w: 'read-write', 'r!': 'r!', 'w!': 'w!' } as const;

/** The result of an add for the second guest. */
export type Verdict = 'free' | 'busy';
/** The relation between the second guest and the first one. */
export type Kin = 'other' | 'same' | 'stub' | 'stub-of' | 'gone';

/** The disk that the second guest asks for. */
export interface Wanted {
  readonly params: string;
  readonly mode: Mode;
}

/** One row of the table: the present use, the request, and the result by Xen's rules. */
export interface SharingCase {
  readonly what: string;
  /** Arranges the present use. Returns the request of the second guest. */
  readonly arrange: (fixture: SharingFixture) => Promise<Wanted>;
  /**
   * The result by the rules in Xen's own script, which are applied to the bytes and not to the
   * names.
   */
  readonly expected: Verdict;
  /** The rule, for the document. */
  readonly rule: Rule;
  /** A text that the refusal must contain. */
  readonly says?: RegExp;
  /** Tells whether the request needs only a plain path and a mode, as Xen's script does. */
  readonly plain: boolean;
}

/** The rules in the words of the document. */
export const RULES = {
  readers: 'readers share with readers',
  writer: 'a reader needs that nobody writes',
  alone: 'a writer needs to be alone',
  kin: 'one virtual machine does not stand in its own way',
  apart: 'no byte in common',
  unused: 'nobody uses it',
  stale: 'the device named is another by now',
  asked: 'the target says what it tolerates',
} as const;

/** The name of a rule. */
export type Rule = keyof typeof RULES;
