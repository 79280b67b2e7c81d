import assert from 'node:assert/strict';
import { encodeJournalEntry } from '../../src/daemon/journal.js';
import { parseRequest } from '../../src/daemon/protocol.js';
import { formatDevnumHex, parseDevnumHex } from '../../src/linux/devnum.js';
import { parsePublishedDevice } from '../../src/vbd/published-device.js';
import { parseRecord } from '../../src/vbd/record.js';
import { scanDevnum } from '../../src/vbd/scan-devnum.js';
import { parseOtherPath, parseVbdPath } from '../../src/vbd/vbd-path.js';
import type { Random } from '../bed/random.js';
import { anyText, damaged } from './inputs.js';
import { property } from './property.js';

function anyDevnum(random: Random): { major: number; minor: number } {
  return { major: random.below(4096), minor: random.between(1, 0xfffff) };
}

/**
 * Scans "%x:%x" as the kernel's sscanf does (lib/vsprintf.c), in a second implementation that goes
 * character by character.
 */
function scanSlowly(text: string): { major: number; minor: number } | undefined {
  let at = 0;
  const number = (): bigint | undefined => {
    while (' \t\n\v\f\r\xa0'.includes(text[at] || '-')) at++;
    if (!/[0-9a-fA-F]/.test(text[at] ?? '')) return undefined;
    if (text[at] === '0' && (text[at + 1] === 'x' || text[at + 1] === 'X')) at += 2;
    let value = 0n;
    while (/[0-9a-fA-F]/.test(text[at] ?? '')) value = value * 16n + BigInt(`0x${text[at++]}`);
    return value & 0xffffffffn;
  };
  const major = number();
  if (major === undefined || text[at++] !== ':') return undefined;
  const minor = number();
  if (minor === undefined) return undefined;
  const dev = ((major << 20n) | minor) & 0xffffffffn;
  return dev === 0n ? undefined : { major: Number(dev >> 20n), minor: Number(dev & 0xfffffn) };
}

describe('what guests, toolstacks and other programs write about vbds', () => {
  property('device numbers are read as the kernel scans them', (random) => {
    const { major, minor } = anyDevnum(random);
    const text = damaged(
      random,
      `${random.pick(['', ' ', '0x', '0X'])}${major.toString(16)}:${random.pick(['', '0x', ' '])}${minor.toString(16)}`,
    );
    const bytes = Buffer.from(random.percent(70) ? text : anyText(random)).toString('latin1');
    assert.deepEqual(scanDevnum(bytes), scanSlowly(bytes), JSON.stringify(bytes));
  });

  property('device numbers come back from what is published', (random) => {
    const devnum = anyDevnum(random);
    const text = formatDevnumHex(devnum);
    assert.deepEqual(parseDevnumHex(text), devnum);
    const diskseq = BigInt(random.next()) + 1n;
    const hex = diskseq.toString(16);
    assert.deepEqual(parsePublishedDevice({ physicalDevice: text, diskseq: hex }), {
      devnum,
      diskseq,
    });
    const inline = { physicalDevice: `${hex}@${text}`, diskseq: undefined };
    assert.deepEqual(parsePublishedDevice(inline), { devnum, diskseq });
  });

  property('publications of any text have a number that fits, or none', (random) => {
    const nodes = { physicalDevice: anyText(random), diskseq: anyText(random, 4) };
    const { devnum, diskseq } = parsePublishedDevice(nodes) ?? {};
    if (devnum) assert(devnum.major < 4096 && devnum.minor <= 0xfffff);
    if (diskseq !== undefined) assert(diskseq > 0n && diskseq < 1n << 64n);
  });

  property('a path of a vbd is one spelling, or none', (random) => {
    const [domid, devid] = [random.below(99_999), random.below(2 ** 31)];
    const home = random.percent(50) ? `/local/domain/${random.below(9)}/` : '';
    const path = damaged(random, `${home}backend/vbd/${domid}/${devid}`);
    for (const vbd of [parseVbdPath(path), parseOtherPath(path)]) {
      if (vbd === undefined) continue;
      assert(path.endsWith(vbd.backend));
      assert.match(vbd.sysfsName, /^(vbd|qdisk|vbd3)-\d{1,5}-\d{1,10}$/);
    }
  });

  property('a request is understood or answered, in one line', (random) => {
    const path = random.percent(50) ? 'backend/vbd/7/51712' : anyText(random, 5);
    const line = damaged(
      random,
      `xen-blkback ${random.pick(['1', '2', '0'])} ${random.pick(['add', 'remove', 'events'])} ${path}`,
    );
    const parsed = parseRequest(line);
    if (!parsed.ok) assert.match(parsed.reply, /^(failed EPROTOCOL|unsupported 1)[^\n]*\n$/);
    else if ('path' in parsed.request) assert(!parsed.request.path.includes(' '));
  });

  property('a record is read back, and anything else is none', (random) => {
    const devnum = { major: random.below(4096), minor: random.below(0xfffff) };
    const diskseq = BigInt(random.next()) + 1n;
    const record = { devnum, diskseq, path: anyText(random), unbind: random.percent(50) };
    const device = `${devnum.major}:${devnum.minor}`;
    const text = JSON.stringify({ ...record, devnum: undefined, device, diskseq: `${diskseq}` });
    assert.deepEqual(parseRecord(text), record);
    const found = parseRecord(random.percent(70) ? damaged(random, text) : anyText(random));
    if (found) assert(found.diskseq > 0n && typeof found.path === 'string');
  });

  property('an entry of the journal has the fields that were put in, and no others', (random) => {
    const fields = { MESSAGE: anyText(random), PRIORITY: '6', XEN_STEP: anyText(random, 8) };
    const found: Record<string, string> = {};
    const bytes = encodeJournalEntry(fields);
    for (let at = 0; at < bytes.length; ) {
      const end = bytes.indexOf('\n', at);
      const line = bytes.toString('utf8', at, end);
      const equals = line.indexOf('=');
      if (equals >= 0) {
        found[line.slice(0, equals)] = line.slice(equals + 1);
        at = end + 1;
      } else {
        const length = Number(bytes.readBigUInt64LE(end + 1));
        found[line] = bytes.toString('utf8', end + 9, end + 9 + length);
        at = end + 10 + length;
      }
    }
    const utf8 = (text: string): string => Buffer.from(text).toString();
    const entries = Object.entries(fields).map(([name, value]) => [name, utf8(value)]);
    assert.deepEqual(found, Object.fromEntries(entries));
  });
});
