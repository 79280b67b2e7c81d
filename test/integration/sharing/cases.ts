import { type Kin, MODES, type Mode, type Rule, type SharingCase, type Verdict } from './case.js';
import { IMAGE_CASES, LOCAL_CASES } from './local-cases.js';
import { APART, OVERLAPS, type Overlap, sameDisk, sameFile } from './overlaps.js';

/** The rules from the head of Xen's block-common.sh and from the comment on its check_sharing. */
const GUESTS: readonly (readonly [Mode, Mode, Kin, Verdict, Rule])[] = [
  ['r', 'r', 'other', 'free', 'readers'],
  ['w', 'r', 'other', 'busy', 'writer'],
  ['r', 'w', 'other', 'busy', 'alone'],
  ['w', 'w', 'other', 'busy', 'alone'],
  ['w', 'w', 'same', 'free', 'kin'],
];

const KINS = {
  other: 'two guests',
  same: 'two domains of one machine',
  stub: 'a guest, then its stub domain',
  'stub-of': 'a stub domain, then its guest',
  gone: 'a domain that is gone, and another one',
} as const;

function guests(overlap: Overlap, row: (typeof GUESTS)[number]): SharingCase {
  const [first, second, kin, expected, rule] = row;
  return {
    what: `${overlap.what}: ${KINS[kin]}, ${MODES[first]}, then ${MODES[second]}`,
    arrange: async (fixture) => {
      const [there, wanted] = await overlap.make(fixture);
      await fixture.guest(there, first, kin);
      return { params: wanted, mode: second };
    },
    expected,
    rule,
    plain: overlap.plain ?? true,
  };
}

const KIN_CASES = [
  guests(sameFile, ['w', 'w', 'stub', 'free', 'kin']),
  guests(sameFile, ['w', 'w', 'stub-of', 'free', 'kin']),
  guests(sameDisk, ['w', 'w', 'stub', 'free', 'kin']),
  guests(sameDisk, ['w', 'w', 'stub-of', 'free', 'kin']),
  guests(sameFile, ['w', 'w', 'gone', 'busy', 'alone']),
  guests(sameDisk, ['w', 'w', 'gone', 'busy', 'alone']),
  guests(sameDisk, ['w!', 'r', 'other', 'busy', 'writer']),
  guests(sameDisk, ['w', 'w!', 'other', 'free', 'asked']),
  guests(sameFile, ['w', 'w!', 'other', 'free', 'asked']),
  guests(sameDisk, ['w', 'r!', 'other', 'free', 'asked']),
];

const STALE: readonly SharingCase[] = [
  {
    what: 'an entry whose disk is another by now, as its diskseq tells; wanted read-write',
    arrange: async (fixture) => {
      const loop = await fixture.loop(fixture.file());
      await fixture.entry({ 'physical-device': loop.devnum, diskseq: '1' });
      return { params: loop.path, mode: 'w' };
    },
    expected: 'free',
    rule: 'stale',
    plain: true,
  },
  {
    what: 'the same without a diskseq, so that it may be this disk; wanted read-write',
    arrange: async (fixture) => {
      const loop = await fixture.loop(fixture.file());
      await fixture.entry({ 'physical-device': loop.devnum });
      return { params: loop.path, mode: 'w' };
    },
    expected: 'busy',
    rule: 'alone',
    plain: true,
  },
  {
    what: 'an entry whose device is gone; wanted read-write',
    arrange: async (fixture) => {
      await fixture.entry({ 'physical-device': '7:fffff' });
      return { params: fixture.file(), mode: 'w' };
    },
    expected: 'free',
    rule: 'stale',
    plain: true,
  },
];

/**
 * Returns a case in which the target itself says what it tolerates. Xen's script has no such
 * setting.
 */
function asked(first: Mode, words: string, mode: Mode, expected: Verdict): SharingCase {
  return {
    what: `the same file: two guests, ${MODES[first]}, then ${MODES[mode]} with ${words}`,
    arrange: async (fixture) => {
      const file = fixture.file();
      await fixture.guest(file, first);
      return { params: `path=${file},${words}`, mode };
    },
    expected,
    rule: 'asked',
    plain: false,
  };
}

/** All cases that need no mapper device, in the order of the document. */
export const CASES: readonly SharingCase[] = [
  ...OVERLAPS.flatMap((overlap) => GUESTS.map((row) => guests(overlap, row))),
  ...KIN_CASES,
  ...LOCAL_CASES,
  ...APART.map((overlap) => guests(overlap, ['w', 'w', 'other', 'free', 'apart'])),
  ...STALE,
  ...IMAGE_CASES,
  asked('w', 'sharing=allow', 'w', 'free'),
  asked('w', 'sharing=read-only', 'r', 'free'),
  asked('r', 'sharing=read-only', 'w', 'free'),
  asked('w', 'sharing=read-only', 'w', 'busy'),
  asked('r', 'sharing=deny', 'w', 'busy'),
];
