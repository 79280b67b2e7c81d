import assert from 'node:assert/strict';
import { tableSegments } from '../../../src/topology/mapper-segments.js';

const line = (type: string, params: string, start = 0n, length = 16n) => ({
  start,
  length,
  type,
  params,
});
const sda = { major: 8, minor: 0 };
const sdb = { major: 8, minor: 16 };

const dm = { major: 253, minor: 9 };
const segmentsOf = (...lines: ReturnType<typeof line>[]) => tableSegments(dm, lines, () => []);
/** The 8192 bytes of a line of 16 sectors, which may lie anywhere on the device `lower`. */
const anywhere = (lower: typeof sda, at = 0n) => ({
  at,
  length: 8192n,
  start: 0n,
  spread: 'all',
  lower,
});

describe('The segments of a mapper table', () => {
  it('are those of its linear lines, in bytes', () => {
    assert.deepEqual(segmentsOf(line('linear', '8:0 2048'), line('linear', '8:16 0', 16n, 8n)), [
      { at: 0n, length: 8192n, lower: sda, start: 1048576n },
      { at: 8192n, length: 4096n, lower: sdb, start: 0n },
    ]);
  });

  it('of crypt begin at its offset, whatever its options', () => {
    const params = 'aes-xts-plain64 sha256:ab 0 8:0 8 1 allow_discards';
    assert.deepEqual(segmentsOf(line('crypt', params)), [
      { at: 0n, length: 8192n, lower: sda, start: 4096n },
    ]);
  });

  it('of stripes are spread over their share of every device', () => {
    assert.deepEqual(segmentsOf(line('striped', '2 8 8:0 0 8:16 64')), [
      { at: 0n, length: 8192n, lower: sda, start: 0n, spread: 4096n },
      { at: 0n, length: 8192n, lower: sdb, start: 32768n, spread: 4096n },
    ]);
  });

  it('of a mirror are on each leg, and its log has all of its device', () => {
    assert.deepEqual(
      segmentsOf(line('mirror', 'disk 2 8:32 1024 2 8:0 8 8:16 0 1 handle_errors')),
      [
        { at: 0n, length: 8192n, lower: sda, start: 4096n },
        { at: 0n, length: 8192n, lower: sdb, start: 0n },
        anywhere({ major: 8, minor: 32 }),
      ],
    );
  });

  it('of a thin volume are its own, by pool and number, and beneath the pool anywhere', () => {
    const pool = { major: 253, minor: 2 };
    const own = { at: 0n, length: 8192n, start: 0n };
    const expected = [
      { ...own, storage: { kind: 'thin', pool, id: '7' } },
      { ...anywhere(pool), beneath: 'pool 253:2' },
    ];
    assert.deepEqual(segmentsOf(line('thin', '253:2 7')), expected);
    assert.deepEqual(segmentsOf(line('thin', '253:2 7 8:0')), [
      ...expected,
      { ...own, lower: sda, readOnly: true },
    ]);
  });

  it('of a pool are those of its data, and its metadata', () => {
    assert.deepEqual(segmentsOf(line('thin-pool', '8:0 8:16 128 0')), [
      { at: 0n, length: 8192n, start: 0n, lower: sdb },
      anywhere(sda),
    ]);
  });

  it('of a snapshot are anywhere among its exceptions, and what it reads of its origin', () => {
    const origin = { at: 0n, length: 8192n, start: 0n, lower: sda, beneath: 'origin 8:0' };
    assert.deepEqual(segmentsOf(line('snapshot', '8:0 8:16 P 8')), [
      { ...origin, readOnly: true },
      anywhere(sdb),
    ]);
    assert.deepEqual(segmentsOf(line('snapshot-origin', '8:0')), [
      origin,
      { at: 0n, length: 8192n, start: 0n, storage: { kind: 'origin', devnum: sda } },
    ]);
  });

  it('are none for targets that have no bytes', () => {
    assert.deepEqual(segmentsOf(line('error', ''), line('zero', '', 16n)), []);
  });

  for (const [type, params] of [
    ['cache', '8:0 8:16 8:32 128 1 writeback default 0'],
    ['mirror', 'core 1 1024 3 8:0 0 8:16 0'],
    ['thin', 'rubbish'],
    ['striped', '3 8 8:0 0 8:16 64'],
    ['striped', ''],
    ['linear', ''],
  ] as const) {
    it(`are its own, and anywhere below, for a line of ${type} ${params}; the others are known`, () => {
      const named = [...params.matchAll(/8:(\d+)/g)].map(([, minor]) => Number(minor));
      const found = segmentsOf(line('linear', '8:0 0'), line(type, params, 16n));
      const own = { at: 8192n, length: 8192n, start: 8192n, storage: { kind: 'disk', devnum: dm } };
      assert.deepEqual(found, [
        { at: 0n, length: 8192n, lower: sda, start: 0n },
        own,
        ...named.map((minor) => ({
          ...anywhere({ major: 8, minor }, 8192n),
          beneath: 'device 253:9',
        })),
      ]);
    });
  }

  it('have devices that no line names below each line that does not tell', () => {
    const found = tableSegments(dm, [line('vdo', 'V4 sdb 8:0')], () => [sda, sdb]);
    assert.deepEqual(
      found.flatMap((segment) => ('lower' in segment ? [segment.lower] : [])),
      [sda, sdb],
    );
  });
});
