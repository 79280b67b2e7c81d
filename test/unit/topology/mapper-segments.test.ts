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

describe('The segments of a mapper table', () => {
  it('are those of its linear lines, in bytes', () => {
    assert.deepEqual(
      tableSegments([line('linear', '8:0 2048'), line('linear', '8:16 0', 16n, 8n)]),
      [
        { at: 0n, length: 8192n, lower: sda, start: 1048576n },
        { at: 8192n, length: 4096n, lower: sdb, start: 0n },
      ],
    );
  });

  it('of crypt begin at its offset, whatever its options', () => {
    const params = 'aes-xts-plain64 sha256:ab 0 8:0 8 1 allow_discards';
    assert.deepEqual(tableSegments([line('crypt', params)]), [
      { at: 0n, length: 8192n, lower: sda, start: 4096n },
    ]);
  });

  it('of stripes are spread over their share of every device', () => {
    assert.deepEqual(tableSegments([line('striped', '2 8 8:0 0 8:16 64')]), [
      { at: 0n, length: 8192n, lower: sda, start: 0n, spread: 4096n },
      { at: 0n, length: 8192n, lower: sdb, start: 32768n, spread: 4096n },
    ]);
  });

  it('of a thin volume are its own, by pool and number', () => {
    const base = { kind: 'thin', pool: { major: 253, minor: 2 }, id: '7' };
    assert.deepEqual(tableSegments([line('thin', '253:2 7')]), [
      { at: 0n, length: 8192n, start: 0n, base },
    ]);
  });

  it('of a snapshot are anywhere among its exceptions', () => {
    assert.deepEqual(tableSegments([line('snapshot', '8:0 8:16 P 8')]), [
      { at: 0n, length: undefined, lower: sdb, start: 0n },
    ]);
  });

  it('are none for targets that have no bytes', () => {
    assert.deepEqual(tableSegments([line('error', ''), line('zero', '', 16n)]), []);
  });

  for (const [type, params] of [
    ['mirror', 'core 1 1024 2 8:0 0 8:16 0'],
    ['thin', 'rubbish'],
    ['striped', '3 8 8:0 0 8:16 64'],
    ['striped', ''],
  ] as const) {
    it(`are not known for ${type} ${params}`, () => {
      assert.equal(tableSegments([line('linear', '8:0 0'), line(type, params, 16n)]), undefined);
    });
  }
});
