import type { Random } from '../bed/random.js';

/** Pieces that often break parsers. */
const TOKENS = [
  ...[
    '',
    ' ',
    '\t',
    '\n',
    '\0',
    '\r\n',
    ',',
    '\\,',
    '\\',
    '=',
    '/',
    '//',
    ':',
    '@',
    '-',
    '+',
    '.',
    '..',
  ],
  ...[
    '0',
    '1',
    '00',
    '0x',
    '0x0',
    '0X1f',
    'ffffffff',
    '4294967296',
    '18446744073709551616',
    '-1',
    '1e9',
  ],
  ...[
    'NaN',
    'Infinity',
    '__proto__',
    'constructor',
    'toString',
    'null',
    'undefined',
    '{}',
    '[]',
    '"',
  ],
  ...[
    'path',
    'dm-name',
    'diskseq',
    'offset',
    'size',
    'symlinks',
    'partition',
    'block-size',
    'w',
    'w!',
  ],
  ...[
    '/dev/sda',
    '/dev/mapper/control',
    '/dev/disk/by-diskseq/7',
    'phy:',
    'ca:0',
    '7:3',
    '\u00a0',
    '\u2028',
  ],
  ...[
    'ä',
    '\u{1f4be}',
    '\ufeff',
    '\ud800',
    '\udc80',
    '\\040',
    '\\777',
    ' - ',
    'EOF',
    'xen-blkback',
    'add',
  ],
];

/** Returns a text of such pieces and of random characters. */
export function anyText(random: Random, longest = 40): string {
  const parts = random.list(random.below(longest), () => {
    if (random.percent(70)) return random.pick(TOKENS);
    return String.fromCharCode(random.below(random.percent(80) ? 128 : 0x10000));
  });
  return parts.join('');
}

/** Returns random bytes, or the bytes of a random text. */
export function anyBytes(random: Random, longest = 80): Buffer {
  if (random.percent(50)) return Buffer.from(anyText(random, longest / 2));
  return Buffer.from(random.list(random.below(longest), () => random.below(256)));
}

/** Returns a text with at most one small random change, so that it is almost well-formed. */
export function damaged(random: Random, text: string): string {
  if (random.percent(20)) return text;
  const at = random.below(text.length + 1);
  const cut = random.below(4);
  const piece = random.percent(50) ? anyText(random, 3) : '';
  return text.slice(0, at) + piece + text.slice(at + cut);
}

/** Returns a copy of bytes in which some may be replaced, and which may be cut off. */
export function damagedBytes(random: Random, bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  for (let left = random.below(6); left > 0 && copy.length > 0; left--) {
    copy[random.below(copy.length)] = random.below(256);
  }
  return random.percent(70) ? copy : copy.subarray(0, random.below(copy.length + 1));
}

/** Cuts bytes into pieces of random length, sometimes of one byte each. */
export function pieces(random: Random, bytes: Buffer): Buffer[] {
  const longest = random.pick([1, 2, 17, 5000]);
  const cut: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = random.between(1, longest);
    cut.push(bytes.subarray(at, at + length));
    at += length;
  }
  return cut;
}
