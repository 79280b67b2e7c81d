import type { SharingFixture } from './fixture.js';

export type Mode = 'r' | 'w' | 'r!' | 'w!';
/** The modes as the titles say them. */
export const MODES = { r: 'read-only', w: 'read-write', 'r!': 'r!', 'w!': 'w!' } as const;

export type Verdict = 'free' | 'busy';
/** How the second guest is related to the first one. */
export type Kin = 'other' | 'same' | 'stub' | 'stub-of' | 'gone';

/** What the second guest asks for beside what is there already. */
export interface Wanted {
  readonly params: string;
  readonly mode: Mode;
}

/** One row of the table: what is there, what is asked for, and what Xen's rules say to it. */
export interface SharingCase {
  readonly what: string;
  /** Brings about what is there; says what is asked for then. */
  readonly arrange: (fixture: SharingFixture) => Promise<Wanted>;
  /** By the rules that Xen's own script documents, for the bytes and not for the names. */
  readonly expected: Verdict;
  /** Which rule, for the document. */
  readonly rule: Rule;
  /** What the refusal says besides. */
  readonly says?: RegExp;
  /** Whether a plain path and mode can ask for it, as Xen's script needs it. */
  readonly plain: boolean;
}

/** The rules, as they are shown in the document. */
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

export type Rule = keyof typeof RULES;
