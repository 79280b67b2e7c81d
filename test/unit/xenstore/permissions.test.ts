import assert from 'node:assert/strict';
import { decodePermissions, encodePermissions } from '../../../src/xenstore/permissions.js';
import type { Permission } from '../../../src/xenstore/xenstore.js';
import { isXenstoreError } from '../../../src/xenstore/xenstore-error.js';

describe('XenStore permissions', () => {
  it('are pairs of domain and bits below', () => {
    const list: Permission[] = [
      { domid: 0, access: 'n' },
      { domid: 1, access: 'r' },
      { domid: 2, access: 'w' },
      { domid: 65535, access: 'b' },
    ];
    const pairs = [0, 0, 1, 1, 2, 2, 65535, 3];
    assert.deepEqual(encodePermissions('a', list), pairs);
    assert.deepEqual(decodePermissions(pairs), list);
  });

  it("ignore libxenstore's own bits", () => {
    assert.deepEqual(decodePermissions([3, 0x18 | 1]), [{ domid: 3, access: 'r' }]);
  });

  const bad: Record<string, readonly { domid: number; access: string }[]> = {
    'an empty list': [],
    'a negative domain': [{ domid: -1, access: 'r' }],
    'half a domain': [{ domid: 0.5, access: 'r' }],
    'a domain too high': [{ domid: 65536, access: 'r' }],
    'another letter': [{ domid: 0, access: 'x' }],
  };
  for (const [what, list] of Object.entries(bad)) {
    it(`refuses ${what}`, () => {
      assert.throws(
        () => encodePermissions('a/b', list as readonly Permission[]),
        (error) => isXenstoreError(error, 'EINVAL') && error.path === 'a/b',
      );
    });
  }
});
