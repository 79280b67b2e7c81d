import assert from 'node:assert/strict';
import { spellingsOf } from '../../../../src/block/mapper/mapper-device.js';

describe('The spellings of a locator', () => {
  it('are the name or UUID as it is, and mangled where that differs', () => {
    assert.deepEqual(spellingsOf({ dmName: 'vg0-root' }), [{ name: 'vg0-root' }]);
    assert.deepEqual(spellingsOf({ dmUuid: 'LVM-a b' }), [
      { uuid: 'LVM-a b' },
      { uuid: 'LVM-a\\x20b' },
    ]);
  });

  it('are those for which the kernel has room: 127 bytes for a name, 128 for a UUID', () => {
    const count = (length: number): number[] => {
      const text = 'n'.repeat(length);
      return [spellingsOf({ dmName: text }).length, spellingsOf({ dmUuid: text }).length];
    };
    assert.deepEqual([127, 128, 129].map(count), [
      [1, 1],
      [0, 1],
      [0, 0],
    ]);
    assert.deepEqual(spellingsOf({ dmName: `${'n'.repeat(124)} ` }).length, 1);
  });
});
